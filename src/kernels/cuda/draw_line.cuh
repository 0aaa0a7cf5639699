// What a cluster of blocks that shares a row of logits does together: sums in the order of the ids,
// and finding the token at a place of a line that is ordered by logits or by weights.
//
// All sums are of integers, so neither their order nor the number of blocks shows in the result.
#pragma once

#include <cooperative_groups.h>
#include <cstdint>

namespace hachi::ops::cuda::line {

inline constexpr int kBlocks = 8;  // of a cluster
inline constexpr int kThreads = 512;
inline constexpr int kWarp = 32;
inline constexpr int kWarps = kThreads / kWarp;
inline constexpr int kDigitBits = 6;
inline constexpr int kBuckets = 1 << kDigitBits;
inline constexpr int kLowBits = 12;
inline constexpr uint32_t kAll = 0xffffffffu;

struct Shared {
  // Of each digit, a column a lane, so that no two lanes of a warp meet: sums of units, in parts
  // that 32 bits hold. Zero between uses.
  uint32_t low[kBuckets][kWarp];
  uint32_t high[kBuckets][kWarp];
  // What the other blocks read; two in turn, so that one barrier is enough.
  uint64_t published[2][kBuckets];
  uint64_t gathered[kBlocks * kWarps];
};

// Bits that grow with x; 0 is below all of them.
__device__ __forceinline__ uint32_t ordered(float x) {
  const uint32_t bits = __float_as_uint(x + 0.0f);  // -0 becomes 0
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float from_ordered(uint32_t bits) {
  return __uint_as_float((bits & 0x80000000u) != 0 ? bits ^ 0x80000000u : ~bits);
}

// The line by falling logits, each of one unit. NaN is not in it.
struct ByLogit {
  static constexpr int kTopShift = 30;
  static __device__ float none() { return __uint_as_float(0x7fffffffu); }
  static __device__ bool has(float x) { return x == x; }
  static __device__ uint32_t key(float x) { return ordered(x); }
  static __device__ uint32_t units(float) { return 1; }
  // The mass of so many units of tokens whose keys begin, shifted by `shift`, with `digits`.
  static __device__ uint64_t mass(uint64_t units, uint32_t, int) { return units; }
};

// The line by falling weights: 0, which is not in it, or multiples of 2^-45 up to 1. Units are
// those of the fraction, masses multiples of 2^-45.
struct ByWeight {
  static constexpr int kTopShift = 24;
  static constexpr uint32_t kLeastExponent = 64;  // below any, and the greatest, 127, fits 6 bits
  static __device__ float none() { return 0; }
  static __device__ bool has(float w) { return w > 0; }
  static __device__ uint32_t key(float w) {
    return (__float_as_uint(w) - (kLeastExponent << 23)) << 1;
  }
  static __device__ uint32_t units(float w) { return (__float_as_uint(w) & 0x7fffffu) | 0x800000u; }
  static __device__ uint64_t mass(uint64_t units, uint32_t digits, int shift) {
    // 2^(exponent - 127) * units / 2^23 = mass / 2^45
    const int up = static_cast<int>((digits >> (kTopShift - shift)) + kLeastExponent) - 105;
    return up >= 0 ? units << up : units >> -up;
  }
  static __device__ uint64_t mass(float w) {
    return w > 0 ? mass(units(w), key(w) >> kTopShift, kTopShift) : 0;
  }
};

__device__ __forceinline__ uint64_t warp_sum(uint64_t value) {
#pragma unroll
  for (int i = kWarp / 2; i > 0; i /= 2) value += __shfl_xor_sync(kAll, value, i);
  return value;
}

__device__ __forceinline__ uint64_t warp_max(uint64_t value) {
#pragma unroll
  for (int i = kWarp / 2; i > 0; i /= 2) {
    const uint64_t other = __shfl_xor_sync(kAll, value, i);
    value = other > value ? other : value;
  }
  return value;
}

// Of this lane and those before it.
__device__ __forceinline__ uint64_t warp_running_sum(uint64_t value, int lane) {
#pragma unroll
  for (int i = 1; i < kWarp; i *= 2) {
    const uint64_t before = __shfl_up_sync(kAll, value, i);
    if (lane >= i) value += before;
  }
  return value;
}

struct Sums {
  uint64_t own;     // of the warp
  uint64_t before;  // of all warps of the row whose tokens come before
  uint64_t all;
};

// A place in a line.
struct Found {
  bool exists;
  uint32_t key;
  uint64_t rest;  // mass from the first token with this key to the place
  uint64_t mass;  // of all tokens with this key
};

// A thread's view of its row. Each warp has `chunk` tokens that follow each other, a multiple of
// 32; `values` are those of the block.
struct Row {
  Shared* shared;
  float* values;
  int first;  // the warp's first token
  int chunk;
  int rank;  // of the block in its cluster
  int warp;
  int lane;
  int turn;

  __device__ __forceinline__ float* own() const { return values + warp * chunk; }

  // shared->gathered[w]: what warp w of the row gave.
  __device__ __forceinline__ void gather(uint64_t value) {
    const auto cluster = cooperative_groups::this_cluster();
    if (lane == 0) shared->published[turn][warp] = value;
    cluster.sync();
    const int i = static_cast<int>(threadIdx.x);
    if (i < kBlocks * kWarps) {
      shared->gathered[i] =
          *cluster.map_shared_rank(&shared->published[turn][i % kWarps], i / kWarps);
    }
    turn ^= 1;
    __syncthreads();
  }

  __device__ __forceinline__ uint64_t max(uint64_t value) {
    gather(warp_max(value));
    uint64_t most = 0;
#pragma unroll
    for (int i = lane; i < kBlocks * kWarps; i += kWarp) {
      most = shared->gathered[i] > most ? shared->gathered[i] : most;
    }
    return warp_max(most);
  }

  __device__ __forceinline__ Sums sums(uint64_t value) {
    Sums sums;
    sums.own = warp_sum(value);
    gather(sums.own);
    uint64_t before = 0, all = 0;
#pragma unroll
    for (int i = lane; i < kBlocks * kWarps; i += kWarp) {
      all += shared->gathered[i];
      if (i < rank * kWarps + warp) before += shared->gathered[i];
    }
    sums.before = warp_sum(before);
    sums.all = warp_sum(all);
    return sums;
  }

  __device__ __forceinline__ void add_units(uint32_t digit, uint32_t units) {
    if (units == 0) return;
    atomicAdd(&shared->low[digit][lane], units & ((1u << kLowBits) - 1));
    if (units >> kLowBits != 0) atomicAdd(&shared->high[digit][lane], units >> kLowBits);
  }

  // The block's units by their next digit, of tokens whose keys begin with `prefix`. Tokens beside
  // each other with one digit, as where all are about as likely, are added up first.
  template <class Order>
  __device__ __forceinline__ void count_digits(uint32_t prefix, int shift) {
    const float* mine = own();
    uint32_t last = 0, units = 0;
#pragma unroll 4
    for (int j = lane; j < chunk; j += kWarp) {
      const float value = mine[j];
      const uint32_t digits = Order::key(value) >> shift;
      if (!Order::has(value) || digits >> kDigitBits != prefix) continue;
      const uint32_t digit = digits % kBuckets;
      if (digit != last) {
        add_units(last, units);
        units = 0;
        last = digit;
      }
      units += Order::units(value);
    }
    add_units(last, units);
  }

  // The row's masses by that digit go to shared->gathered.
  template <class Order>
  __device__ __forceinline__ void add_up_digits(uint32_t prefix, int shift) {
    const auto cluster = cooperative_groups::this_cluster();
    __syncthreads();
    constexpr int kEach = kBuckets / kWarps;
#pragma unroll
    for (int digit = warp * kEach; digit < (warp + 1) * kEach; ++digit) {
      const uint64_t high = __reduce_add_sync(kAll, shared->high[digit][lane]);
      const uint64_t low = __reduce_add_sync(kAll, shared->low[digit][lane]);
      shared->high[digit][lane] = 0;
      shared->low[digit][lane] = 0;
      if (lane == 0) {
        shared->published[turn][digit] =
            Order::mass((high << kLowBits) + low, (prefix << kDigitBits) + digit, shift);
      }
    }
    cluster.sync();
    const int i = static_cast<int>(threadIdx.x);
    if (i < kBuckets) {
      uint64_t sum = 0;
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
        sum += *cluster.map_shared_rank(&shared->published[turn][i], block);
      }
      shared->gathered[i] = sum;
    }
    turn ^= 1;
    __syncthreads();
  }

  // The key at which the masses of the line, from the greatest key on, come to more than `place`.
  // The keys' digits are found one after the other, from the highest.
  template <class Order>
  __device__ __forceinline__ Found find(uint64_t place) {
    Found found{true, 0, place, 0};
#pragma unroll 1
    for (int shift = Order::kTopShift; shift >= 0; shift -= kDigitBits) {
      count_digits<Order>(found.key, shift);
      add_up_digits<Order>(found.key, shift);
      const int digit = kBuckets - 1 - 2 * lane;
      const uint64_t first = shared->gathered[digit];
      const uint64_t second = shared->gathered[digit - 1];
      const uint64_t until = warp_running_sum(first + second, lane);
      const uint32_t beyond = __ballot_sync(kAll, until > found.rest);
      if (beyond == 0) return {false, 0, 0, 0};
      const uint64_t rest = found.rest - (until - first - second);
      const bool is_first = rest < first;
      const int lane_of = __ffs(static_cast<int>(beyond)) - 1;
      found.rest = __shfl_sync(kAll, is_first ? rest : rest - first, lane_of);
      found.mass = __shfl_sync(kAll, is_first ? first : second, lane_of);
      found.key = (found.key << kDigitBits) +
                  __shfl_sync(kAll, static_cast<uint32_t>(is_first ? digit : digit - 1), lane_of);
    }
    return found;
  }

  // visit(value, equal, ordinal) of each of the warp's values, all lanes together: whether its key
  // is `key`, and of how many such tokens of the row it stands behind.
  template <class Order, class Visit>
  __device__ __forceinline__ void each_of_key(uint32_t key, const Visit& visit) {
    float* mine = own();
    uint64_t equal = 0;
    for (int j = lane; j < chunk; j += kWarp) {
      if (Order::has(mine[j]) && Order::key(mine[j]) == key) ++equal;
    }
    uint64_t before = sums(equal).before;
    for (int j = lane; j < chunk; j += kWarp) {
      const bool is_equal = Order::has(mine[j]) && Order::key(mine[j]) == key;
      const uint32_t equals = __ballot_sync(kAll, is_equal);
      visit(mine[j], first + j, is_equal, before + __popc(equals & ((1u << lane) - 1)));
      before += __popc(equals);
    }
  }

  // Takes from the line all behind the token that stands `ordinal`-th of those with `key`.
  template <class Order>
  __device__ __forceinline__ void cut(uint32_t key, uint64_t ordinal) {
    each_of_key<Order>(key, [&](float& value, int, bool is_equal, uint64_t place) {
      const bool stays = is_equal ? place <= ordinal : Order::has(value) && Order::key(value) > key;
      if (!stays) value = Order::none();
    });
  }
};

}  // namespace hachi::ops::cuda::line
