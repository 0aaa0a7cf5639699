#include <algorithm>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/memory.h"

namespace hachi::ops::cuda {
namespace {

constexpr uint64_t kReadBytes = uint64_t{2} << 30;  // far beyond the cache
constexpr int64_t kWidth = 8192;                    // of the products
constexpr int kWarmUp = 20;                         // until the clocks have risen
constexpr int kSamples = 11;
constexpr int kThreads = 512;

__global__ void read_all(const uint4* data, size_t count, uint32_t* sums) {
  uint32_t sum = 0;
  const size_t step = size_t{gridDim.x} * blockDim.x;
#pragma unroll 8
  for (size_t i = size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    const uint4 one = __ldcs(data + i);
    sum += one.x ^ one.y ^ one.z ^ one.w;
  }
  if (sum == 1) *sums = sum;  // so that nothing is left out
}

// Numbers without a pattern: the same ones everywhere let the chip run faster than it will.
__global__ void scatter(uint16_t* data, size_t count, uint16_t keep, uint16_t set) {
  const size_t step = size_t{gridDim.x} * blockDim.x;
  for (size_t i = size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    uint32_t bits = static_cast<uint32_t>(i) * 2654435761u;
    bits = (bits ^ (bits >> 15)) * 2246822519u;
    data[i] = static_cast<uint16_t>(((bits >> 13) & keep) | set);
  }
}

template <class Work>
double median_seconds(cudaStream_t stream, const Work& work) {
  cudaEvent_t begin, end;
  HACHI_CUDA(cudaEventCreate(&begin));
  HACHI_CUDA(cudaEventCreate(&end));
  std::vector<float> times;
  for (int i = 0; i < kWarmUp + kSamples; ++i) {
    HACHI_CUDA(cudaEventRecord(begin, stream));
    work();
    HACHI_CUDA(cudaEventRecord(end, stream));
    HACHI_CUDA(cudaEventSynchronize(end));
    float milliseconds = 0;
    HACHI_CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
    if (i >= kWarmUp) times.push_back(milliseconds);
  }
  HACHI_CUDA(cudaEventDestroy(begin));
  HACHI_CUDA(cudaEventDestroy(end));
  std::sort(times.begin(), times.end());
  return times[times.size() / 2] * 1e-3;
}

}  // namespace

Result<GpuLimits> Device::measure_limits() {
  use();
  Context ctx;
  ctx.device = ops::Device::kCuda;
  ctx.gpu = this;
  TRY(const Memory memory, Memory::allocate(ctx, kReadBytes));
  const int blocks = info_.multiprocessors * 4;
  auto* words = reinterpret_cast<uint16_t*>(memory.data());
  GpuLimits limits;
  // Exponents near 1, of bf16 and then of e4m3, with any signs and fractions.
  scatter<<<blocks, kThreads, 0, stream_>>>(words, kReadBytes / 2, 0x80ff, 0x3e00);
  limits.read = static_cast<double>(kReadBytes) / median_seconds(stream_, [&] {
                  read_all<<<blocks, kThreads, 0, stream_>>>(
                      reinterpret_cast<const uint4*>(memory.data()), kReadBytes / 16,
                      reinterpret_cast<uint32_t*>(operands_));
                });
  constexpr double kOperations = 2.0 * kWidth * kWidth * kWidth;
  constexpr uint64_t kMatrix = kWidth * kWidth * sizeof(uint16_t);
  Gemm gemm{.rows = kWidth,
            .w = {.layout = Layout::kBF16,
                  .outputs = kWidth,
                  .inputs = kWidth,
                  .data = memory.data() + kMatrix},
            .x = memory.data(),
            .y = memory.data() + 2 * kMatrix,
            .y_type = DType::kBF16,
            .y_stride = kWidth};
  for (double* rate : {&limits.bf16, &limits.fp8}) {
    if (rate == &limits.fp8) {
      scatter<<<blocks, kThreads, 0, stream_>>>(words, kReadBytes / 2, 0x8f8f, 0x3030);
      gemm.w.layout = Layout::kF8;
    }
    if (!gemm_->takes(gemm)) continue;
    *rate = kOperations / median_seconds(stream_, [&] { gemm_->run(stream_, gemm); });
  }
  HACHI_CUDA(cudaGetLastError());
  return limits;
}

}  // namespace hachi::ops::cuda
