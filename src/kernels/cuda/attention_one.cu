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
// positions and page numbers of the step.
template <class Cache, int kHeadDim>
__global__ void __launch_bounds__(kWorkerThreads, kBlocks)
    one_kernel(const __grid_constant__ Attention args, int first_row, int rows, int max_parts) {
  launch_dependents();
  extern __shared__ __align__(128) char memory[];
  auto& shared = *reinterpret_cast<Shared<Cache, kHeadDim>*>(memory);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (rows > 1) {
    if (warp == 0) shared.list.make(args, first_row, rows, max_parts, lane);
    __syncthreads();
  }
  Work item(args, shared.list, first_row, rows, max_parts, static_cast<int>(blockIdx.x),
            static_cast<int>(gridDim.x));
  if (!item.valid()) return;
  Ring<Cache, kHeadDim> ring(args, shared.rings[warp], Ahead(item, warp, kWorkerWarps));
  Worker<Cache, kHeadDim> worker{
      args, shared, warp, lane / 4, lane % 4, static_cast<int>(args.num_heads / args.num_kv_heads)};
  worker.load_norms();
  wait_for_earlier_kernels();
  for (bool first = true; item.valid(); item.next()) {
    if (first || item.part == 0) worker.prepare(item);
    first = false;
    worker.sums.clear();
    for (int tile = item.begin + warp; tile < item.end; tile += kWorkerWarps) {
      worker.step(item, tile, ring);
    }
    worker.finish(item);
  }
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

template <class Cache, int kHeadDim>
void run_one(Stream stream, const Attention& args) {
  constexpr int kShared = sizeof(Shared<Cache, kHeadDim>);
  auto* kernel = one_kernel<Cache, kHeadDim>;
  const int blocks = once_a_device([&] { return room_for(kernel, kShared); });
  for (int64_t first = 0; first < args.batch.num_tokens; first += kRowsALaunch) {
    const int64_t rows = std::min(args.batch.num_tokens - first, kRowsALaunch);
    const int64_t most = std::min(kMaxParts, kPartSlots / rows);
    const int64_t max_parts = std::clamp<int64_t>(256 / args.num_kv_heads, 1, most);
    launch(stream, kernel, dim3(static_cast<unsigned>(blocks)), kWorkerThreads, kShared, args,
           static_cast<int>(first), static_cast<int>(rows), static_cast<int>(max_parts));
  }
}

template <class Cache>
void run_one_of(Stream stream, const Attention& args) {
  with_width(args.head_dim,
             [&](auto width) { run_one<Cache, decltype(width)::value>(stream, args); });
}

}  // namespace

bool one_is_fast(const Attention& args) {
  return args.type == DType::kBF16 && args.kv.dtype != DType::kF32 &&
         is_fast_width(args.head_dim) && args.num_heads / args.num_kv_heads <= kMaxHeads;
}

void fast_one(Stream stream, const Attention& args) {
  switch (args.kv.dtype) {
    case DType::kBF16:
      return run_one_of<Bf16Cache>(stream, args);
    case DType::kF16:
      return run_one_of<F16Cache>(stream, args);
    default:
      return run_one_of<F8Cache>(stream, args);
  }
}

}  // namespace hachi::ops::cuda::attend
