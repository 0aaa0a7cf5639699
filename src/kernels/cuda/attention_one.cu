// Attention of single tokens: one kernel from q, k, v to the operand of the next product. Its time
// is that of reading the cache once, for which it keeps up to 128 KB a multiprocessor in flight.
//
// A block of four warps is a worker. It takes one part of the positions of one kv head of one row
// after another, its warps tiles in turn, and leaves the result of a part for those that merge
// parts, always in their order. Workers may wait for each other: all blocks run at once.
//
// The block is small, so that it shares a multiprocessor with one of the product before it, and of
// the one after it, which begin to read their weights meanwhile.
#include <algorithm>

#include "kernels/cuda/attention_parts.h"
#include "kernels/cuda/attention_worker.cuh"
#include "kernels/cuda/launch.cuh"

namespace hachi::ops::cuda::attend {
namespace {

constexpr int kBlocks = 2;  // of a multiprocessor

// Old positions are read before the wait: no kernel that may still run has written them, nor the
// positions and page numbers of the step. `late`: workers that begin late, as the kernel of many
// tokens, which then runs beside this one, still has their multiprocessors. That kernel let this
// one begin only after its own wait, so all that this one reads is there.
template <class Cache, int kHeadDim>
__global__ void __launch_bounds__(kWorkerThreads, kBlocks)
    one_kernel(const __grid_constant__ Attention args, int first_row, int rows, int max_parts,
               Late late) {
  launch_dependents();
  extern __shared__ __align__(128) char memory[];
  auto& shared = *reinterpret_cast<Shared<Cache, kHeadDim>*>(memory);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (rows > 1) {
    if (warp == 0) shared.list.make(args, first_row, rows, max_parts, lane);
    __syncthreads();
  }
  const bool beside = late.workers > 0;
  Work item(args, shared.list, first_row, rows, max_parts, late);
  if (!item.valid()) {
    if (beside) wait_for_earlier_kernels();
    return;
  }
  Ring<Cache, kHeadDim> ring(args, shared.rings[warp], Ahead(item, warp, kWorkerWarps));
  Worker<Cache, kHeadDim> worker{
      args, shared, warp, lane / 4, lane % 4, static_cast<int>(args.num_heads / args.num_kv_heads)};
  worker.load_norms();
  if (!beside) wait_for_earlier_kernels();
  for (bool first = true; item.valid(); item.next()) {
    if (first || item.part == 0) worker.prepare(item);
    first = false;
    worker.sums.clear();
    for (int tile = item.begin + warp; tile < item.end; tile += kWorkerWarps) {
      worker.step(item, tile, ring);
    }
    worker.finish(item);
  }
  if (beside) wait_for_earlier_kernels();  // who waits for this kernel waits for both
}

// How many blocks run at once.
template <class Kernel>
int room_for(Kernel* kernel, int shared_bytes) {
  allow_shared_bytes(kernel, shared_bytes);
  int blocks = 0;
  CHECK_CUDA(
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, kWorkerThreads, shared_bytes));
  return std::min(blocks, kBlocks) * num_multiprocessors();
}

// Multiprocessors that are taken have no room for any of the blocks, which begin in their order.
template <class Cache, int kHeadDim>
Late late_beside(Beside beside, int blocks) {
  constexpr double kBytesUs = Cache::kBytes == 1 ? 2e6 : 3e6;  // read in a microsecond by an H100
  constexpr double kRoundBytes = 2.0 * kRound * kTile * kHeadDim * Cache::kBytes;
  const int late = kBlocks * static_cast<int>(beside.multiprocessors), early = blocks - late;
  if (early < blocks / 2) return {};
  return {late, static_cast<int>(beside.us * kBytesUs / (early * kRoundBytes))};
}

template <class Cache, int kHeadDim>
void run_one(Stream stream, const Attention& args, Beside beside) {
  constexpr int kShared = sizeof(Shared<Cache, kHeadDim>);
  auto* kernel = one_kernel<Cache, kHeadDim>;
  const int blocks = once_a_device([&] { return room_for(kernel, kShared); });
  CHECK_LE(blocks, kFewRows * kMaxParts);  // each has a slot in the workspace
  Late late = late_beside<Cache, kHeadDim>(beside, blocks);
  for (int64_t first = 0; first < args.batch.num_tokens; first += kRowsALaunch) {
    const int64_t rows = std::min(args.batch.num_tokens - first, kRowsALaunch);
    const int64_t most = std::min(kMaxParts, kPartSlots / rows);
    const int64_t max_parts = std::clamp<int64_t>(256 / args.num_kv_heads, 1, most);
    launch(stream, kernel, dim3(static_cast<unsigned>(blocks)), kWorkerThreads, kShared, args,
           static_cast<int>(first), static_cast<int>(rows), static_cast<int>(max_parts), late);
    late = {};  // of the next launch, which waits for this one
  }
}

template <class Cache>
void run_one_of(Stream stream, const Attention& args, Beside beside) {
  with_width(args.head_dim,
             [&](auto width) { run_one<Cache, decltype(width)::value>(stream, args, beside); });
}

}  // namespace

bool one_is_fast(const Attention& args) {
  return args.type == DType::kBF16 && args.kv.dtype != DType::kF32 &&
         is_fast_width(args.head_dim) && args.num_heads / args.num_kv_heads <= kMaxHeads;
}

void fast_one(Stream stream, const Attention& args, Beside beside) {
  switch (args.kv.dtype) {
    case DType::kBF16:
      return run_one_of<Bf16Cache>(stream, args, beside);
    case DType::kF16:
      return run_one_of<F16Cache>(stream, args, beside);
    default:
      return run_one_of<F8Cache>(stream, args, beside);
  }
}

}  // namespace hachi::ops::cuda::attend
