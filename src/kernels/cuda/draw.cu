// One cluster of blocks a row. Each block keeps its part of the row in shared memory, so the logits
// are read once; the passes over it, and what the blocks tell each other between them, are
// draw_line.cuh.
#include <cuda_runtime.h>

#include "kernels/cuda/draw.h"
#include "kernels/cuda/draw_line.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/draw.h"

namespace hachi::ops::cuda {
namespace {

using line::ByLogit;
using line::ByWeight;
using line::kAll;
using line::kBlocks;
using line::kThreads;
using line::kWarp;
using line::kWarps;
using line::Row;
using line::Shared;

// Tokens of a warp: a part of the vocabulary that ends with a word of the mask.
constexpr int chunk_of(int64_t vocab_size) {
  constexpr int64_t kTokens = int64_t{kBlocks} * kWarps * kWarp;
  return static_cast<int>((vocab_size + kTokens - 1) / kTokens * kWarp);
}

constexpr int shared_bytes(int64_t vocab_size) {
  return static_cast<int>(sizeof(Shared) + sizeof(float) * kWarps * chunk_of(vocab_size));
}

// The warp's logits; NaN stands for tokens that may not be drawn.
__device__ void load(const Row& row, const DrawParams& how, const float* logits, int vocab_size,
                     const uint32_t* words) {
  float* mine = row.own();
#pragma unroll 8
  for (int j = row.lane; j < row.chunk; j += kWarp) {
    const int token = row.first + j;
    float logit = token < vocab_size ? logits[token] : 0;
    if (isnan(logit)) logit = -INFINITY;
    bool is_allowed = token < vocab_size;
    if (how.mask_words > 0) {
      const int word = token / kWarp;
      is_allowed =
          is_allowed && word < how.mask_words && (words[how.mask_at + word] >> row.lane & 1) != 0;
    }
    mine[j] = is_allowed ? logit : ByLogit::none();
  }
}

// Changes the block's logits of `count` tokens, each `width` words after the one before.
template <class Change>
__device__ void edit(const Row& row, const uint32_t* words, int count, int width,
                     const Change& change) {
  if (count == 0) return;
  __syncthreads();
  const int first = row.first - row.warp * row.chunk;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
    const int at = static_cast<int>(words[i * width]) - first;
    if (at < 0 || at >= kWarps * row.chunk || !ByLogit::has(row.values[at])) continue;
    row.values[at] = change(row.values[at], words[i * width + width - 1]);
  }
  __syncthreads();
}

// Each rounding as the processor's.
__device__ void edit_all(const Row& row, const DrawParams& how, const uint32_t* words) {
  const uint32_t* edits = words + how.edits_at;
  edit(row, edits, how.num_seen, 2, [&](float logit, uint32_t times) {
    logit = logit > 0 ? __fdiv_rn(logit, how.repetition) : __fmul_rn(logit, how.repetition);
    if (times == 0) return logit;
    const float often = __fmul_rn(how.frequency, static_cast<float>(times));
    return __fsub_rn(logit, __fadd_rn(how.presence, often));
  });
  edits += 2 * how.num_seen;
  edit(row, edits, how.num_biases, 2,
       [](float logit, uint32_t bias) { return __fadd_rn(logit, __uint_as_float(bias)); });
  edits += 2 * how.num_biases;
  edit(row, edits, how.num_banned, 1, [](float, uint32_t) { return -INFINITY; });
}

// exp((logit - best) * scale), rounded from 12 digits, so that it differs from the processor's
// about once in ten thousand; then down to a multiple of 2^-45.
__device__ __forceinline__ float weight_of(float logit, float best, float scale) {
  constexpr float kLeast = -32;  // e^-32 < 2^-46
  constexpr float kExact = 0x1p-22f;
  constexpr float kUnits = 0x1p45f;
  if (logit == best) return 1;
  const float x = __fmul_rn(__fsub_rn(logit, best), scale);
  if (!(x > kLeast)) return 0;
  const double n = rint(static_cast<double>(x) * 1.4426950408889634);
  const double r = fma(n, -0.6931471805599453, static_cast<double>(x));
  double sum = 1.0 / 362880;
  constexpr double kTerms[] = {1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24,
                               1.0 / 6,     0.5,        1.0,       1.0};
#pragma unroll
  for (const double term : kTerms) sum = fma(sum, r, term);
  const auto weight =
      static_cast<float>(sum * __hiloint2double((static_cast<int>(n) + 1023) << 20, 0));
  if (weight >= kExact) return weight;
  return static_cast<float>(static_cast<uint32_t>(weight * kUnits)) / kUnits;
}

// The place in a line of this mass that a number in [0, 1] names.
__device__ __forceinline__ uint64_t place_of(double share, uint64_t mass) {
  const double place = __dmul_rn(share, __ull2double_rn(mass));
  const uint64_t floor = __double2ull_rd(place);
  return floor < mass ? floor : mass - 1;
}

// Makes weights of the warp's logits, and gives this thread's mass.
__device__ uint64_t weigh(const Row& row, const DrawParams& how, float best) {
  float* mine = row.own();
  const float least = how.top_p < 1 ? 0 : how.min_p;
  uint64_t mass = 0;
  for (int j = row.lane; j < row.chunk; j += kWarp) {
    const float weight = ByLogit::has(mine[j]) ? weight_of(mine[j], best, how.scale) : 0;
    mine[j] = weight < least ? 0 : weight;
    mass += ByWeight::mass(mine[j]);
  }
  return mass;
}

// Keeps the nucleus and of it what is not below min_p; gives this thread's mass.
__device__ uint64_t keep_top_p(Row& row, const DrawParams& how, uint64_t all) {
  const double wanted = ceil(__dmul_rn(how.top_p, __ull2double_rn(all)));
  const uint64_t place = wanted <= 1 ? 0 : __double2ull_rd(wanted) - 1;
  const line::Found last = row.find<ByWeight>(place < all ? place : all - 1);
  const uint64_t each =
      ByWeight::mass(__uint_as_float((last.key >> 1) + (ByWeight::kLeastExponent << 23)));
  row.cut<ByWeight>(last.key, last.rest / each);
  float* mine = row.own();
  uint64_t mass = 0;
  for (int j = row.lane; j < row.chunk; j += kWarp) {
    if (mine[j] < how.min_p) mine[j] = 0;
    mass += ByWeight::mass(mine[j]);
  }
  return mass;
}

// The token at `place` of the line by ids.
__device__ void draw_by_id(const Row& row, const line::Sums& sums, uint64_t place, int32_t* token) {
  if (place < sums.before || place >= sums.before + sums.own) return;
  const float* mine = row.own();
  uint64_t before = sums.before;
  for (int j = row.lane; j < row.chunk; j += kWarp) {
    const uint64_t until = before + line::warp_running_sum(ByWeight::mass(mine[j]), row.lane);
    const uint32_t beyond = __ballot_sync(kAll, until > place);
    if (beyond != 0) {
      if (row.lane == __ffs(static_cast<int>(beyond)) - 1) *token = row.first + j;
      return;
    }
    before = __shfl_sync(kAll, until, kWarp - 1);
  }
}

// The token at `place` of the line by weights.
__device__ void draw_by_weight(Row& row, uint64_t place, int32_t* token) {
  const line::Found found = row.find<ByWeight>(place);
  const uint64_t each =
      ByWeight::mass(__uint_as_float((found.key >> 1) + (ByWeight::kLeastExponent << 23)));
  const uint64_t wanted = found.rest / each;
  row.each_of_key<ByWeight>(found.key, [&](float, int id, bool is_equal, uint64_t ordinal) {
    if (is_equal && ordinal == wanted) *token = id;
  });
}

__device__ void draw_token(Row& row, const DrawParams& how, int vocab_size, int32_t* token) {
  uint64_t greatest = 0;
  const float* mine = row.own();
  for (int j = row.lane; j < row.chunk; j += kWarp) {
    if (!ByLogit::has(mine[j])) continue;
    const uint64_t high = line::ordered(mine[j]);
    const uint64_t both = high << 32 | ~static_cast<uint32_t>(row.first + j);
    greatest = both > greatest ? both : greatest;
  }
  greatest = row.max(greatest);
  if (how.scale == 0 || greatest == 0) {
    if (row.rank == 0 && threadIdx.x == 0) {
      *token = greatest == 0 ? 0 : static_cast<int32_t>(~static_cast<uint32_t>(greatest));
    }
    return;
  }
  if (how.top_k > 0 && how.top_k < vocab_size) {
    const line::Found last = row.find<ByLogit>(static_cast<uint64_t>(how.top_k) - 1);
    if (last.exists) row.cut<ByLogit>(last.key, last.rest);
  }
  const float best = line::from_ordered(static_cast<uint32_t>(greatest >> 32));
  line::Sums sums = row.sums(weigh(row, how, best));
  if (how.top_p < 1) sums = row.sums(keep_top_p(row, how, sums.all));
  const uint64_t place = place_of(how.uniform, sums.all);
  how.top_p < 1 ? draw_by_weight(row, place, token) : draw_by_id(row, sums, place, token);
}

__global__ void __launch_bounds__(kThreads, 2)
    draw_kernel(const __grid_constant__ DrawBatch batch, int32_t* tokens, const float* logits,
                int64_t stride, int vocab_size, int chunk, const uint32_t* words) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto* shared = reinterpret_cast<Shared*>(memory);
  launch_dependents();
  for (int i = static_cast<int>(threadIdx.x); i < line::kBuckets * kWarp; i += kThreads) {
    (&shared->low[0][0])[i] = 0;
    (&shared->high[0][0])[i] = 0;
  }
  const auto cluster = cooperative_groups::this_cluster();
  const int i = static_cast<int>(blockIdx.x) / kBlocks;
  Row row;
  row.shared = shared;
  row.values = reinterpret_cast<float*>(shared + 1);
  row.rank = static_cast<int>(cluster.block_rank());
  row.warp = static_cast<int>(threadIdx.x) / kWarp;
  row.lane = static_cast<int>(threadIdx.x) % kWarp;
  row.chunk = chunk;
  row.first = (row.rank * kWarps + row.warp) * chunk;
  row.turn = 0;
  const DrawParams& how = batch.rows[i];
  wait_for_earlier_kernels();
  load(row, how, logits + how.row * stride, vocab_size, words);
  edit_all(row, how, words);
  draw_token(row, how, vocab_size, tokens + i);
  cluster.sync();  // no block ends while others read its memory
}

}  // namespace

void draw_rows(Stream stream, int32_t* tokens, const float* logits, int64_t stride,
               int64_t vocab_size, const uint32_t* words, const DrawBatch& batch, int count) {
  static const bool allowed = [] {
    allow_shared_bytes(draw_kernel, shared_bytes(kMaxDrawVocab));
    return true;
  }();
  CHECK(allowed && count <= kDrawRows && vocab_size <= kMaxDrawVocab);
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = kBlocks;
  attributes[1].val.clusterDim.y = 1;
  attributes[1].val.clusterDim.z = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(count * kBlocks));
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = static_cast<size_t>(shared_bytes(vocab_size));
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = 2;
  CHECK_CUDA(cudaLaunchKernelEx(&config, draw_kernel, batch, tokens, logits, stride,
                                static_cast<int>(vocab_size), chunk_of(vocab_size), words));
}

}  // namespace hachi::ops::cuda
