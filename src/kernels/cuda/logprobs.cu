// One cluster of blocks a row, which keeps the row in its shared memory. All sums have an order of
// their own, so that a row's result depends on nothing but the row.
#include <cuda_runtime.h>

#include "kernels/cuda/draw_row.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/logprobs.h"
#include "kernels/cuda/ptx.cuh"
#include "kernels/draw.h"

namespace hachi::ops::cuda {
namespace {

using line::kAll;
using line::kBlocks;
using line::kThreads;
using line::kVector;
using line::kWarp;
using line::kWarps;
using line::Row;

// Bits that grow with the logit and then fall with the token; 0: no number.
__device__ __forceinline__ uint64_t bits_of(float logit, int token) {
  if (isnan(logit)) return 0;
  return uint64_t{line::ordered(logit)} << 32 | ~static_cast<uint32_t>(token);
}
__device__ __forceinline__ float logit_of(uint64_t bits) {
  return line::from_ordered(static_cast<uint32_t>(bits >> 32));
}
__device__ __forceinline__ int32_t token_of(uint64_t bits) {
  return static_cast<int32_t>(~static_cast<uint32_t>(bits));
}

// Reads the warp's logits; NaN stands behind the last one.
__device__ __forceinline__ void load(const Row& row, const line::Logits& logits) {
  float* mine = row.values + row.warp * row.chunk;
#pragma unroll 5
  for (int j = row.lane * kVector; j < row.chunk; j += line::kStride) {
    const int token = row.first + j;
    float parts[kVector];
    line::load_vector(logits, token, parts);
#pragma unroll
    for (int k = 0; k < kVector; ++k) {
      if (token + k >= logits.vocab_size) parts[k] = NAN;
    }
    *reinterpret_cast<float4*>(mine + j) = make_float4(parts[0], parts[1], parts[2], parts[3]);
  }
}

// The greatest bits of the thread's tokens that are below `bound`.
__device__ __forceinline__ uint64_t greatest_below(const Row& row, uint64_t bound) {
  uint64_t greatest = 0;
  row.each([&](const float(&parts)[kVector], int token) {
#pragma unroll
    for (int k = 0; k < kVector; ++k) {
      const uint64_t bits = bits_of(parts[k], token + k);
      if (bits < bound && bits > greatest) greatest = bits;
    }
    return false;
  });
  return greatest;
}

// The logarithm of the sum of exp(logit).
__device__ double log_sum_exp(Row& row, float best) {
  double sum = 0;
  row.each([&](const float(&parts)[kVector], int) {
#pragma unroll
    for (const float part : parts) {
      if (!isnan(part)) sum += exp(static_cast<double>(part) - static_cast<double>(best));
    }
    return false;
  });
  const auto over_lanes = [](double value) {
#pragma unroll
    for (int i = kWarp / 2; i > 0; i /= 2) value += __shfl_xor_sync(kAll, value, i);
    return value;
  };
  row.gather(static_cast<uint64_t>(__double_as_longlong(over_lanes(sum))));
  sum = 0;
#pragma unroll
  for (int i = row.lane; i < kBlocks * kWarps; i += kWarp) {
    sum += __longlong_as_double(static_cast<long long>(row.shared->gathered[i]));
  }
  return static_cast<double>(best) + log(over_lanes(sum));
}

// shared->few[0][i]: the bits of the block's i-th token, of the `count` most likely.
__device__ void find_top(const Row& row, int count, uint64_t mine) {
  line::Shared& shared = *row.shared;
  __syncthreads();  // until nobody reads `gathered` any more
  for (int i = 0; i < count; ++i) {
    uint64_t* bests = shared.gathered + i % 2 * kWarps;  // in turn: one barrier is enough
    const uint64_t best_of_warp = line::warp_max(mine);
    if (row.lane == 0) bests[row.warp] = best_of_warp;
    __syncthreads();
    const uint64_t best = line::warp_max(bests[row.lane % kWarps]);
    if (threadIdx.x == 0) shared.few[0][i] = best;
    if (mine == best && best != 0) mine = greatest_below(row, best);
  }
}

__device__ __forceinline__ float logprob(float logit, double total) {
  const auto value = static_cast<float>(static_cast<double>(logit) - total);
  return isfinite(value) ? value : kNoLogprob;
}

// Of all blocks' most likely tokens each thread of the first block has one, and counts those that
// are more likely.
__device__ void write_top(const Row& row, int count, double total, TokenLogprobs& to) {
  line::Shared& shared = *row.shared;
  const auto cluster = cooperative_groups::this_cluster();
  cluster.sync();
  if (row.rank != 0) return;
  static_assert(kBlocks * kMaxTopLogprobs <= static_cast<int>(sizeof(shared.members) / 8));
  auto* all = reinterpret_cast<uint64_t*>(shared.members);
  const int i = static_cast<int>(threadIdx.x);
  const bool has_one = i < kBlocks * count;
  const uint64_t own = has_one ? *cluster.map_shared_rank(&shared.few[0][i % count], i / count) : 0;
  if (has_one) all[i] = own;
  const int num_all = __syncthreads_count(own != 0);
  if (i == 0) to.num_top = min(count, num_all);
  int place = 0;
  for (int k = 0; k < kBlocks * count; ++k) place += all[k] > own ? 1 : 0;
  if (own == 0 || place >= count) return;
  to.top[static_cast<size_t>(place)] = {token_of(own), logprob(logit_of(own), total)};
}

__global__ void __launch_bounds__(kThreads, 2)
    logprobs_kernel(const __grid_constant__ LogprobBatch batch, TokenLogprobs* to,
                    const int32_t* by_row, const float* logits, int64_t stride, int vocab_size,
                    int chunk, bool wide) {
  extern __shared__ __align__(16) unsigned char memory[];
  launch_dependents();
  const LogprobBatch::Row& asked = batch.rows[static_cast<int>(blockIdx.x) / kBlocks];
  Row row = line::row_in(memory, chunk);
  wait_for_earlier_kernels();
  const float* mine = logits + asked.row * stride;
  load(row, {mine, vocab_size, wide});
  const uint64_t greatest = greatest_below(row, ~uint64_t{0});
  const uint64_t best = row.max(greatest);
  const double total = log_sum_exp(row, best == 0 ? NAN : logit_of(best));
  TokenLogprobs& out = to[asked.place];
  if (row.rank == 0 && threadIdx.x == 0) {
    const int32_t token = by_row[asked.row];
    out.chosen = {token, logprob(mine[token], total)};
    if (asked.num_top == 0) out.num_top = 0;
  }
  if (asked.num_top > 0) {
    find_top(row, asked.num_top, greatest);
    write_top(row, asked.num_top, total, out);
  }
  cluster_wait_for_all();  // no block ends while others read its memory
}

}  // namespace

void find_logprobs(Stream stream, TokenLogprobs* to, const int32_t* by_row, const float* logits,
                   int64_t stride, int64_t vocab_size, const LogprobBatch& batch) {
  once_a_device([] {
    allow_shared_bytes(logprobs_kernel, line::shared_bytes(kMaxDrawVocab));
    return true;
  });
  CHECK(batch.count <= kLogprobRows && vocab_size <= kMaxDrawVocab);
  launch_clusters(kBlocks, stream, logprobs_kernel,
                  dim3(static_cast<unsigned>(batch.count * kBlocks)), dim3(kThreads),
                  static_cast<size_t>(line::shared_bytes(vocab_size)), batch, to, by_row, logits,
                  stride, static_cast<int>(vocab_size), line::chunk_of(vocab_size),
                  line::is_wide(logits, stride, vocab_size));
}

}  // namespace hachi::ops::cuda
