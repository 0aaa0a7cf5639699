// One cluster of blocks a row. Each block keeps its part of the row in shared memory, so the logits
// are read once; the passes over it, and what the blocks tell each other between them, are
// draw_line.cuh.
#include <cfloat>
#include <cuda_runtime.h>

#include "kernels/cuda/draw.h"
#include "kernels/cuda/draw_row.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/draw.h"

namespace hachi::ops::cuda {
namespace {

using line::ByLogit;
using line::ByWeight;
using line::kAll;
using line::kBlocks;
using line::kStride;
using line::kThreads;
using line::kVector;
using line::kWarp;
using line::kWarps;
using line::Logits;
using line::Row;

// The greatest of a thread's tokens that may be drawn, the first of equals.
struct Greatest {
  float logit = -INFINITY;
  int token = 0;

  __device__ __forceinline__ void add(float other, int other_token) {
    if (!(other > logit)) return;
    logit = other;
    token = other_token;
  }
  // Bits that grow with the logit and then fall with the token; 0: none.
  __device__ __forceinline__ uint64_t bits() const {
    if (!ByLogit::has(logit)) return 0;
    return uint64_t{line::ordered(logit)} << 32 | ~static_cast<uint32_t>(token);
  }
};

// Reads the warp's logits. Here and from here on -infinity stands for tokens that may not be drawn,
// and the lowest number for NaN and -infinity.
__device__ __forceinline__ Greatest load(const Row& row, const DrawParams& how,
                                         const Logits& logits, const uint32_t* words) {
  Greatest greatest;
  float* mine = row.values + row.warp * row.chunk;
#pragma unroll 5
  for (int j = row.lane * kVector; j < row.chunk; j += kStride) {
    const int token = row.first + j;
    float parts[kVector];
    line::load_vector(logits, token, parts);
    uint32_t allowed = 0xf;
    if (how.mask_words > 0) {
      const int word = token / 32;
      allowed = word < how.mask_words ? words[how.mask_at + word] >> (token % 32) : 0;
    }
#pragma unroll
    for (int k = 0; k < kVector; ++k) {
      const bool is_allowed = (allowed >> k & 1) != 0 && token + k < logits.vocab_size;
      parts[k] = is_allowed ? fmaxf(parts[k], -FLT_MAX) : ByLogit::none();
      greatest.add(parts[k], token + k);
    }
    *reinterpret_cast<float4*>(mine + j) = make_float4(parts[0], parts[1], parts[2], parts[3]);
  }
  return greatest;
}

// Changes the block's logits of these tokens: `count` pairs of a token and what to change it by.
template <class Change>
__device__ void edit(const Row& row, const uint32_t* pairs, int count, const Change& change) {
  if (count == 0) return;
  __syncthreads();
  const int first = row.first - row.warp * row.chunk;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
    const int at = static_cast<int>(pairs[2 * i]) - first;
    if (at < 0 || at >= kWarps * row.chunk || !ByLogit::has(row.values[at])) continue;
    row.values[at] = fmaxf(change(row.values[at], pairs[2 * i + 1]), -FLT_MAX);
  }
  __syncthreads();
}

// The lowest number for these of the block's tokens, which may stand there twice. As bits, it is
// above those of all numbers, and below those of -infinity.
__device__ void ban(const Row& row, const uint32_t* tokens, int count) {
  if (count == 0) return;
  __syncthreads();
  const int first = row.first - row.warp * row.chunk;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
    const int at = static_cast<int>(tokens[i]) - first;
    if (at < 0 || at >= kWarps * row.chunk) continue;
    atomicMax(reinterpret_cast<uint32_t*>(row.values + at), __float_as_uint(-FLT_MAX));
  }
  __syncthreads();
}

// Each rounding as the processor's.
__device__ Greatest edit_all(const Row& row, const DrawParams& how, const uint32_t* words) {
  const uint32_t* edits = words + how.edits_at;
  edit(row, edits, how.num_seen, [&](float logit, uint32_t times) {
    logit = logit > 0 ? __fdiv_rn(logit, how.repetition) : __fmul_rn(logit, how.repetition);
    if (times == 0) return logit;
    const float often = __fmul_rn(how.frequency, static_cast<float>(times));
    return __fsub_rn(logit, __fadd_rn(how.presence, often));
  });
  edits += 2 * how.num_seen;
  edit(row, edits, how.num_biases,
       [](float logit, uint32_t bias) { return __fadd_rn(logit, __uint_as_float(bias)); });
  edits += 2 * how.num_biases;
  ban(row, edits, how.num_banned);
  Greatest greatest;
  row.each([&](const float(&parts)[kVector], int token) {
    for (int k = 0; k < kVector; ++k) greatest.add(parts[k], token + k);
    return false;
  });
  return greatest;
}

// e^x for -10 <= x <= 0: within 2^-34 before it is rounded, so that it differs from the rounded e^x
// for one x in 2,000, by its last bit. e^x = 2^n e^r, and e^r = 1 + r + r^2 / 2 + ..., where the
// roundings of the first terms' sums are added up with the last ones.
__device__ __forceinline__ float exact_exp(float x) {
  constexpr float kRound = 12582912;       // 1.5 * 2^23: sums with it are whole, in their last bits
  constexpr float kLn2 = 0.693147182464f;  // and the rest of ln 2:
  constexpr float kLn2Low = -1.904654299957771e-9f;
  constexpr float kTerms[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6};
  const float rounded = __fmaf_rn(x, 1.44269504f, kRound);
  const float n = __fadd_rn(rounded, -kRound);
  const float r = __fmaf_rn(-n, kLn2, x);  // exact
  const float square = __fmul_rn(r, r);
  const float square_low = __fmaf_rn(r, r, -square);
  float cubes = 1.0f / 40320;
#pragma unroll
  for (const float term : kTerms) cubes = __fmaf_rn(cubes, r, term);
  float low = __fmaf_rn(__fmul_rn(square, r), cubes, 0.5f * square_low);
  low = __fmaf_rn(__fmul_rn(-n, kLn2Low), __fadd_rn(1, r), low);
  const float sum = __fmaf_rn(0.5f, square, r);
  low = __fadd_rn(low, __fmaf_rn(0.5f, square, -__fadd_rn(sum, -r)));
  const float whole = __fadd_rn(1, sum);
  low = __fadd_rn(low, __fadd_rn(sum, -__fadd_rn(whole, -1)));
  const uint32_t exponent = __float_as_uint(rounded) << 23;
  return __uint_as_float(__float_as_uint(__fadd_rn(whole, low)) + exponent);
}

// The weight of a token whose logit is x * temperature above the greatest, x <= 0.
__device__ __forceinline__ float weight_of(float x) {
  constexpr float kExact = -10;
  constexpr float kLeast = -32;  // e^-32 < 2^-46
  constexpr float kUnits = 0x1p45f;
  if (x >= kExact) return exact_exp(x);
  // Numbers from 2^23 units on are multiples of a unit already.
  return x > kLeast ? truncf(expf(x) * kUnits) / kUnits : 0;
}

// The place in a line of this mass that a number in [0, 1] names.
__device__ __forceinline__ uint64_t place_of(double share, uint64_t mass) {
  const uint64_t place = __double2ull_rd(__dmul_rn(share, __ull2double_rn(mass)));
  return place < mass ? place : mass - 1;
}

// Makes weights of the warp's logits: visit(weight) of each.
template <class Visit>
__device__ __forceinline__ void weigh(const Row& row, float best, float scale, float least,
                                      const Visit& visit) {
  row.each([&](float(&parts)[kVector], int) {
#pragma unroll
    for (float& part : parts) {
      const float x = __fmul_rn(__fsub_rn(part, best), scale);
      part = part == best ? 1 : weight_of(x);
      if (part < least) part = 0;
      visit(part);
    }
    return true;
  });
}

// Where a token goes.
struct Drawn {
  int32_t* token;
  int32_t* by_row;
  __device__ void put(int32_t drawn) const { *token = *by_row = drawn; }
};

// The token at `place` of the line by ids.
__device__ void draw_by_id(const Row& row, const line::Sums& sums, uint64_t place,
                           const Drawn& drawn) {
  if (place < sums.before || place >= sums.before + sums.own) return;
  uint64_t before = sums.before;
  bool is_done = false;
  row.each([&](const float(&parts)[kVector], int first) {
    if (is_done) return false;
    uint64_t own = 0;
    for (const float part : parts) own += ByWeight::mass(part);
    const uint64_t until = before + line::warp_running_sum(own, row.lane);
    const uint32_t beyond = __ballot_sync(kAll, until > place);
    if (beyond != 0 && row.lane == __ffs(static_cast<int>(beyond)) - 1) {
      uint64_t at = until - own;
      int k = 0;
      while (k < kVector - 1 && at + ByWeight::mass(parts[k]) <= place) {
        at += ByWeight::mass(parts[k++]);
      }
      drawn.put(first + k);
    }
    is_done = beyond != 0;
    before = __shfl_sync(kAll, until, kWarp - 1);
    return false;
  });
}

// The mass of the fewest first tokens of the line by weights that have top_p of it.
__device__ uint64_t nucleus(Row& row, double top_p, uint64_t all) {
  const double wanted = ceil(__dmul_rn(top_p, __ull2double_rn(all)));
  uint64_t place = wanted <= 1 ? 0 : __double2ull_rd(wanted) - 1;
  place = place < all ? place : all - 1;
  const line::Member last = row.find<ByWeight>(place, row.shared->tops);
  return last.before + ByWeight::mass_of_key(last.key);
}

// From the line by weights, of which only so many first tokens are kept.
__device__ void draw_by_weight(Row& row, const DrawParams& how, float best, const Drawn& drawn) {
  line::DigitCounter counter(*row.shared, row.lane);
  weigh(row, best, how.scale, 0, [&](float weight) {
    if (!ByWeight::has(weight)) return;
    counter.add(ByWeight::key(weight) >> ByWeight::kTopShift, ByWeight::units(weight));
  });
  counter.flush();
  row.add_up_digits<ByWeight>(0, ByWeight::kTopShift, row.shared->tops);
  const uint64_t* tops = row.shared->tops;
  const uint64_t all = line::warp_sum(tops[row.lane] + tops[row.lane + kWarp]);
  uint64_t kept = nucleus(row, how.top_p, all);
  if (how.min_p > 0) {
    uint64_t mass = 0;
    row.each([&](const float(&parts)[kVector], int) {
      for (const float part : parts) mass += part < how.min_p ? 0 : ByWeight::mass(part);
      return false;
    });
    mass = row.sums(mass).all;
    kept = mass < kept ? mass : kept;
  }
  const line::Member found = row.find<ByWeight>(place_of(how.uniform, kept), tops);
  if (row.rank == 0 && threadIdx.x == 0) drawn.put(found.token);
}

// Takes from the line by logits all but the first `count`.
__device__ void keep_top_k(Row& row, int count) {
  const line::Member last = row.find<ByLogit>(static_cast<uint64_t>(count) - 1, nullptr);
  if (!last.exists) return;
  row.each([&](float(&parts)[kVector], int token) {
#pragma unroll
    for (int k = 0; k < kVector; ++k) {
      const uint32_t key = line::ordered(parts[k]);
      if (key < last.key || (key == last.key && token + k > last.token)) parts[k] = ByLogit::none();
    }
    return true;
  });
}

__device__ void draw_token(Row& row, const DrawParams& how, const Greatest& greatest,
                           int vocab_size, const Drawn& drawn) {
  const uint64_t best_bits = row.max(greatest.bits());
  if (how.scale == 0 || best_bits == 0) {
    if (row.rank == 0 && threadIdx.x == 0) {
      drawn.put(best_bits == 0 ? 0 : static_cast<int32_t>(~static_cast<uint32_t>(best_bits)));
    }
    return;
  }
  if (how.top_k > 0 && how.top_k < vocab_size) keep_top_k(row, how.top_k);
  const float best = line::from_ordered(static_cast<uint32_t>(best_bits >> 32));
  if (how.top_p < 1) return draw_by_weight(row, how, best, drawn);
  uint64_t mass = 0;
  weigh(row, best, how.scale, how.min_p, [&](float weight) { mass += ByWeight::mass(weight); });
  const line::Sums sums = row.sums(mass);
  draw_by_id(row, sums, place_of(how.uniform, sums.all), drawn);
}

__global__ void __launch_bounds__(kThreads, 2)
    draw_kernel(const __grid_constant__ DrawBatch batch, int32_t* tokens, int32_t* by_row,
                const float* logits, int64_t stride, int vocab_size, int chunk, bool wide,
                const uint32_t* words) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto* shared = reinterpret_cast<line::Shared*>(memory);
  launch_dependents();
  for (int i = static_cast<int>(threadIdx.x); i < line::kBuckets * kWarp; i += kThreads) {
    (&shared->low[0][0])[i] = 0;
    (&shared->high[0][0])[i] = 0;
  }
  const int i = static_cast<int>(blockIdx.x) / kBlocks;
  Row row = line::row_in(memory, chunk);
  const DrawParams& how = batch.rows[i];
  wait_for_earlier_kernels();
  const Drawn drawn{tokens + i, by_row + how.row};
  if (how.forced >= 0) {
    if (row.rank == 0 && threadIdx.x == 0) drawn.put(how.forced);
    return;
  }
  const Logits mine{logits + how.row * stride, vocab_size, wide};
  Greatest greatest = load(row, how, mine, words);
  const bool is_edited = how.num_seen + how.num_biases + how.num_banned > 0;
  if (is_edited) greatest = edit_all(row, how, words);
  draw_token(row, how, greatest, vocab_size, drawn);
  cluster_wait_for_all();  // no block ends while others read its memory
}

__global__ void take_drawn_kernel(int32_t* ids, const int32_t* by_row, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  launch_dependents();
  wait_for_earlier_kernels();
  if (i < count && ids[i] < 0) ids[i] = by_row[-1 - ids[i]];
}

}  // namespace

void take_drawn(Stream stream, int32_t* ids, const int32_t* by_row, int64_t count) {
  constexpr int kThreads = 256;
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  launch(stream, take_drawn_kernel, dim3(blocks), dim3(kThreads), 0, ids, by_row, count);
}

void draw_rows(Stream stream, int32_t* tokens, int32_t* by_row, const float* logits, int64_t stride,
               int64_t vocab_size, const uint32_t* words, const DrawBatch& batch, int count) {
  once_a_device([] {
    allow_shared_bytes(draw_kernel, line::shared_bytes(kMaxDrawVocab));
    return true;
  });
  const bool wide = line::is_wide(logits, stride, vocab_size);
  CHECK(count <= kDrawRows && vocab_size <= kMaxDrawVocab);
  launch_clusters(kBlocks, stream, draw_kernel, dim3(static_cast<unsigned>(count * kBlocks)),
                  dim3(kThreads), static_cast<size_t>(line::shared_bytes(vocab_size)), batch,
                  tokens, by_row, logits, stride, static_cast<int>(vocab_size),
                  line::chunk_of(vocab_size), wide, words);
}

}  // namespace hachi::ops::cuda
