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
inline constexpr int kVector = 4;                // tokens that a lane takes at once
inline constexpr int kStride = kWarp * kVector;  // of a warp
inline constexpr int kDigitBits = 6;
inline constexpr int kBuckets = 1 << kDigitBits;
inline constexpr int kLowBits = 12;
inline constexpr int kFew = 128;  // tokens that are compared each with each
inline constexpr uint32_t kAll = 0xffffffffu;

// A token of a line.
struct Member {
  bool exists;
  uint32_t key;
  int token;
  uint64_t before;  // mass of those before it
};

struct Shared {
  // Of each digit, a column a lane, so that no two lanes of a warp meet: sums of units, in parts
  // that 32 bits hold. Zero between uses.
  uint32_t low[kBuckets][kWarp];
  uint32_t high[kBuckets][kWarp];
  // What the other blocks read; two in turn, so that one barrier is enough.
  uint64_t published[2][kBuckets];
  uint64_t gathered[kBlocks * kWarps];
  uint64_t tops[kBuckets];   // masses of the line by weights, by the first digits of the keys
  uint64_t few[2][kFew];     // of the block, as `published`; 0: none
  ulonglong2 members[kFew];  // of the row: bits that are greater the earlier it stands, its mass
  int num_few;
  int num_members;
  Member picked;
};

// Bits that grow with x; 0 is below all of them.
__device__ __forceinline__ uint32_t ordered(float x) {
  const uint32_t bits = __float_as_uint(x + 0.0f);  // -0 becomes 0
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float from_ordered(uint32_t bits) {
  return __uint_as_float((bits & 0x80000000u) != 0 ? bits ^ 0x80000000u : ~bits);
}

// The line by falling logits, each of one unit. -infinity is not in it.
struct ByLogit {
  static constexpr int kTopShift = 30;
  static __device__ float none() { return -INFINITY; }
  static __device__ bool has(float x) { return x > -INFINITY; }
  static __device__ uint32_t key(float x) { return ordered(x); }
  static __device__ uint32_t units(float) { return 1; }
  // The mass of so many units of tokens whose keys begin, shifted by `shift`, with `digits`.
  static __device__ uint64_t mass(uint64_t units, uint32_t, int) { return units; }
  static __device__ uint64_t mass_of_key(uint32_t) { return 1; }
  // How many tokens with such keys have this mass, at most.
  static __device__ uint64_t most_tokens(uint64_t mass, uint32_t, int) { return mass; }
};

// The line by falling weights: 0, which is not in it, or multiples of 2^-45 up to 1. Units are
// those of the fraction, masses multiples of 2^-45.
struct ByWeight {
  static constexpr int kTopShift = 24;
  static constexpr uint32_t kLeastExponent = 64;  // below any, and the greatest, 127, fits 6 bits
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
  static __device__ uint64_t mass(float w) { return static_cast<uint64_t>(w * 0x1p45f); }
  static __device__ uint64_t mass_of_key(uint32_t key) {
    return mass(__uint_as_float((key >> 1) + (kLeastExponent << 23)));
  }
  static __device__ uint64_t most_tokens(uint64_t mass, uint32_t digits, int shift) {
    // The least mass of one: 2^(exponent - 127) * 2^45
    return mass >> ((digits >> (kTopShift - shift)) + kLeastExponent - 82);
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

// The tokens of a line among which a place is: those whose keys begin with these digits.
struct Found {
  bool exists;
  uint32_t digits;
  uint64_t rest;  // mass from the first of them to the place
  uint64_t mass;
};

// Adds units to a block's sums by digits. Tokens beside each other that have one digit, as where
// all are about as likely, are added up first.
class DigitCounter {
 public:
  __device__ DigitCounter(Shared& shared, int lane) : shared_(shared), lane_(lane) {}
  __device__ __forceinline__ void add(uint32_t digit, uint32_t units) {
    if (digit != digit_) flush();
    digit_ = digit;
    units_ += units;
  }
  __device__ __forceinline__ void flush() {
    if (units_ == 0) return;
    atomicAdd(&shared_.low[digit_][lane_], units_ & ((1u << kLowBits) - 1));
    if (units_ >> kLowBits != 0) atomicAdd(&shared_.high[digit_][lane_], units_ >> kLowBits);
    units_ = 0;
  }

 private:
  Shared& shared_;
  int lane_;
  uint32_t digit_ = 0;
  uint32_t units_ = 0;
};

// A thread's view of its row. Each warp has `chunk` tokens that follow each other, a multiple of
// kStride; `values` are those of the block.
struct Row {
  Shared* shared;
  float* values;
  int first;  // the warp's first token
  int chunk;
  int rank;  // of the block in its cluster
  int warp;
  int lane;
  int turn;

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

  // visit(values, token) of the warp's tokens, kVector of them at a time; all lanes together.
  template <class Visit>
  __device__ __forceinline__ void each(const Visit& visit) const {
    float* mine = values + warp * chunk;
#pragma unroll 2
    for (int j = lane * kVector; j < chunk; j += kStride) {
      auto* at = reinterpret_cast<float4*>(mine + j);
      const float4 vector = *at;
      float parts[kVector] = {vector.x, vector.y, vector.z, vector.w};
      if (visit(parts, first + j)) *at = make_float4(parts[0], parts[1], parts[2], parts[3]);
    }
  }

  // The block's units by their next digit, of tokens whose keys begin with `prefix`.
  template <class Order>
  __device__ __forceinline__ void count_digits(uint32_t prefix, int shift) const {
    DigitCounter counter(*shared, lane);
    each([&](const float(&parts)[kVector], int) {
#pragma unroll
      for (const float value : parts) {
        const uint32_t digits = Order::key(value) >> shift;
        if (!Order::has(value) || digits >> kDigitBits != prefix) continue;
        counter.add(digits % kBuckets, Order::units(value));
      }
      return false;
    });
    counter.flush();
  }

  // The row's masses by that digit.
  template <class Order>
  __device__ __forceinline__ void add_up_digits(uint32_t prefix, int shift, uint64_t* sums) {
    const auto cluster = cooperative_groups::this_cluster();
    __syncthreads();
    constexpr int kEach = kBuckets / kWarps;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int digit = warp * kEach + i;
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
      sums[i] = sum;
    }
    turn ^= 1;
    __syncthreads();
  }

  // The next digit of the tokens among which the place is.
  __device__ __forceinline__ void add_digit(Found& found, const uint64_t* sums) const {
    const int digit = kBuckets - 1 - 2 * lane;
    const uint64_t first = sums[digit];
    const uint64_t second = sums[digit - 1];
    const uint64_t until = warp_running_sum(first + second, lane);
    const uint32_t beyond = __ballot_sync(kAll, until > found.rest);
    found.exists = beyond != 0;
    if (!found.exists) return;
    const uint64_t rest = found.rest - (until - first - second);
    const bool is_first = rest < first;
    const int lane_of = __ffs(static_cast<int>(beyond)) - 1;
    found.rest = __shfl_sync(kAll, is_first ? rest : rest - first, lane_of);
    found.mass = __shfl_sync(kAll, is_first ? first : second, lane_of);
    found.digits = (found.digits << kDigitBits) +
                   __shfl_sync(kAll, static_cast<uint32_t>(is_first ? digit : digit - 1), lane_of);
  }

  // Where the masses of the line, from the greatest key on, come to more than `place`; it does not
  // exist if they never do. The key's digits are found one after the other, from the highest, until
  // few tokens have them. `tops` are the masses by the first digit, if they are known.
  template <class Order>
  __device__ __forceinline__ Member find(uint64_t place, const uint64_t* tops) {
    Found found{true, 0, place, 0};
    int shift = Order::kTopShift;
    if (tops == nullptr) {
      count_digits<Order>(0, shift);
      add_up_digits<Order>(0, shift, shared->gathered);
      tops = shared->gathered;
    }
    add_digit(found, tops);
    if (!found.exists) return {false, 0, 0, 0};
#pragma unroll 1
    while (Order::most_tokens(found.mass, found.digits, shift) > kFew) {
      if (shift == 0) return pick_of_equals<Order>(found, place);
      shift -= kDigitBits;
      count_digits<Order>(found.digits, shift);
      add_up_digits<Order>(found.digits, shift, shared->gathered);
      add_digit(found, shared->gathered);
    }
    return pick<Order>(found, shift, place);
  }

  // Among kFew tokens at most: every block gets them all and compares each with each.
  template <class Order>
  __device__ __forceinline__ Member pick(const Found& found, int shift, uint64_t place) {
    const auto cluster = cooperative_groups::this_cluster();
    const int i = static_cast<int>(threadIdx.x);
    uint64_t* few = shared->few[turn];
    if (i < kFew) few[i] = 0;
    if (i == 0) shared->num_few = shared->num_members = 0;
    __syncthreads();
    each([&](const float(&parts)[kVector], int token) {
#pragma unroll
      for (int k = 0; k < kVector; ++k) {
        const uint32_t key = Order::key(parts[k]);
        if (!Order::has(parts[k]) || key >> shift != found.digits) continue;
        few[atomicAdd(&shared->num_few, 1)] =
            uint64_t{key} << 32 | ~static_cast<uint32_t>(token + k);
      }
      return false;
    });
    cluster.sync();
#pragma unroll
    for (int slot = i; slot < kBlocks * kFew; slot += kThreads) {
      const uint64_t bits = *cluster.map_shared_rank(&few[slot % kFew], slot / kFew);
      if (bits == 0) continue;
      const uint64_t mass = Order::mass_of_key(static_cast<uint32_t>(bits >> 32));
      shared->members[atomicAdd(&shared->num_members, 1)] = make_ulonglong2(bits, mass);
    }
    turn ^= 1;
    __syncthreads();
    constexpr int kParts = kThreads / kFew;  // threads that add up for one token
    const int count = shared->num_members;
    const int at = i / kParts;
    const ulonglong2 mine = shared->members[at < count ? at : 0];
    uint64_t before = 0;
    for (int other = i % kParts; other < count; other += kParts) {
      const ulonglong2 one = shared->members[other];
      if (one.x > mine.x) before += one.y;
    }
#pragma unroll
    for (int k = 1; k < kParts; k *= 2) before += __shfl_xor_sync(kAll, before, k);
    const bool is_here = before <= found.rest && found.rest < before + mine.y;
    if (at < count && i % kParts == 0 && is_here) {
      shared->picked = {true, static_cast<uint32_t>(mine.x >> 32),
                        static_cast<int>(~static_cast<uint32_t>(mine.x)),
                        place - found.rest + before};
    }
    __syncthreads();
    return shared->picked;
  }

  // Among many tokens with one key.
  template <class Order>
  __device__ __forceinline__ Member pick_of_equals(const Found& found, uint64_t place) {
    const auto is_equal = [&](float value) {
      return Order::has(value) && Order::key(value) == found.digits;
    };
    const uint64_t mass = Order::mass_of_key(found.digits);
    const uint64_t wanted = found.rest / mass;
    uint32_t count = 0;
    each([&](const float(&parts)[kVector], int) {
      for (const float value : parts) count += is_equal(value) ? 1 : 0;
      return false;
    });
    uint64_t before = sums(count).before;
    uint64_t token = 0;  // plus one
    each([&](const float(&parts)[kVector], int first_token) {
      uint64_t at = before;
#pragma unroll
      for (const float value : parts) {
        const uint32_t equals = __ballot_sync(kAll, is_equal(value));
        at += __popc(equals & ((1u << lane) - 1));
        before += __popc(equals);
      }
#pragma unroll
      for (int k = 0; k < kVector; ++k) {
        if (!is_equal(parts[k])) continue;
        if (at++ == wanted) token = static_cast<uint64_t>(first_token + k + 1);
      }
      return false;
    });
    token = max(token);
    return {true, found.digits, static_cast<int>(token) - 1, place - found.rest + wanted * mass};
  }
};

}  // namespace hachi::ops::cuda::line
