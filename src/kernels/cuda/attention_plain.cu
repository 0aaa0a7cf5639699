// Attention for the shapes and types that no fast kernel takes: a block of four warps has one head
// of one token, 128 positions at a time.
#include "kernels/cuda/attention_device.cuh"
#include "kernels/cuda/attention_parts.h"
#include "kernels/cuda/launch.cuh"

namespace hachi::ops::cuda::attend {
namespace {

constexpr int kThreads = 128;
constexpr int kWidest = 256;  // kMaxHeadWidth

// f(largest or sum) over the threads of the block, the same in all.
template <class Combine>
__device__ float over_block(float x, float* shared, Combine combine) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    x = combine(x, __shfl_xor_sync(kAllLanes, x, lanes));
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
  __syncthreads();
  float all = shared[0];
  for (int w = 1; w < kThreads / 32; ++w) all = combine(all, shared[w]);
  return all;
}

template <class Cached>
struct Sequence {
  const KvPages& kv;
  const int32_t* pages;
  int64_t head, width;

  __device__ const Cached* row(const void* cache, int position) const {
    const char* page = static_cast<const char*>(cache) + pages[position / kPage] * kv.page_bytes;
    return reinterpret_cast<const Cached*>(page) + (head * kPage + position % kPage) * width;
  }
};

template <class Element, class Cached>
__global__ void __launch_bounds__(kThreads)
    plain_kernel(const __grid_constant__ Attention args, Element* y, int64_t first) {
  launch_dependents();
  wait_for_earlier_kernels();
  __shared__ float q[kWidest], p[kThreads], shared[kThreads / 32];
  const int width = static_cast<int>(args.head_dim), thread = threadIdx.x;
  const int64_t token = first + blockIdx.x, head = blockIdx.y;
  const DeviceBatch& batch = args.batch;
  const int position = batch.positions[token];
  const Sequence<Cached> sequence{args.kv, batch.pages + batch.first_page[batch.sequences[token]],
                                  head / (args.num_heads / args.num_kv_heads), width};
  const auto* from = static_cast<const Element*>(args.q) + token * args.stride + head * width;
  for (int d = thread; d < width; d += kThreads) q[d] = static_cast<float>(from[d]);
  __syncthreads();
  float top = kNone, total = 0, out[kWidest / kThreads] = {};
  const int seen = first_seen(position, args.window);
  for (int tile = seen / kThreads * kThreads; tile <= position; tile += kThreads) {
    const int at = tile + thread;
    float score = kNone;
    if (at >= seen && at <= position) {
      const Cached* k = sequence.row(args.kv.keys, at);
      score = 0;
      for (int d = 0; d < width; ++d) score += q[d] * static_cast<float>(k[d]);
      score *= args.score_scale;
    }
    const float larger =
        fmaxf(top, over_block(score, shared, [](float a, float b) { return fmaxf(a, b); }));
    const float factor = expf(top - larger);
    top = larger;
    p[thread] = expf(score - larger);
    total = total * factor + over_block(p[thread], shared, [](float a, float b) { return a + b; });
#pragma unroll
    for (int i = 0; i < kWidest / kThreads; ++i) {
      const int d = thread + i * kThreads;
      if (d >= width) continue;
      float sum = 0;
      for (int s = max(seen, tile); s <= min(position, tile + kThreads - 1); ++s) {
        sum += p[s - tile] * static_cast<float>(sequence.row(args.kv.values, s)[d]);
      }
      out[i] = out[i] * factor + sum;
    }
  }
  Element* to = y + (static_cast<int64_t>(blockIdx.x) * args.num_heads + head) * width;
#pragma unroll
  for (int i = 0; i < kWidest / kThreads; ++i) {
    const int d = thread + i * kThreads;
    if (d < width) to[d] = static_cast<Element>(out[i] / total);
  }
}

// A warp takes 32 elements.
template <class Element>
__global__ void stage_kernel(const __grid_constant__ Attention args, const Element* y,
                             int64_t first, int64_t count) {
  launch_dependents();
  wait_for_earlier_kernels();
  const int64_t from = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (from >= count) return;  // a multiple of 32
  const int64_t to = first + from;
  const float x = static_cast<float>(y[from]);
  if (args.next.type == OperandType::kBF16) {
    static_cast<__nv_bfloat16*>(args.next.rows)[to] = __float2bfloat16(x);
    return;
  }
  float largest = fabsf(x);
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, lanes));
  }
  const int q = __float2int_rn(largest > 0 ? x * (127.0f / largest) : 0.0f);
  int sum = q;
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(kAllLanes, sum, lanes);
  static_cast<int8_t*>(args.next.rows)[to] = static_cast<int8_t>(q);
  if (to % 32 == 0) args.next.groups[to / 32] = {largest / 127.0f, sum};
}

template <class Element>
void plain_of(Stream stream, const Attention& args, void* y, int64_t first, int64_t count) {
  const dim3 grid(static_cast<unsigned>(count), static_cast<unsigned>(args.num_heads));
  auto run = [&](auto* kernel) {
    launch(stream, kernel, grid, kThreads, 0, args, static_cast<Element*>(y), first);
  };
  switch (args.kv.dtype) {
    case DType::kF32:
      return run(plain_kernel<Element, float>);
    case DType::kF16:
      return run(plain_kernel<Element, __half>);
    case DType::kBF16:
      return run(plain_kernel<Element, __nv_bfloat16>);
    default:
      return run(plain_kernel<Element, __nv_fp8_e4m3>);
  }
}

}  // namespace

void plain(Stream stream, const Attention& args, void* y, int64_t first, int64_t count) {
  args.type == DType::kF32 ? plain_of<float>(stream, args, y, first, count)
                           : plain_of<__nv_bfloat16>(stream, args, y, first, count);
}

void stage_operand(Stream stream, const Attention& args, const void* y, int64_t first,
                   int64_t count) {
  const int64_t width = args.num_heads * args.head_dim;
  auto run = [&](auto* kernel, auto* from) {
    const dim3 grid(static_cast<unsigned>((count * width + 255) / 256));
    launch(stream, kernel, grid, 256, 0, args, from, first * width, count * width);
  };
  if (args.type == DType::kF32) {
    run(stage_kernel<float>, static_cast<const float*>(y));
  } else {
    run(stage_kernel<__nv_bfloat16>, static_cast<const __nv_bfloat16*>(y));
  }
}

}  // namespace hachi::ops::cuda::attend
