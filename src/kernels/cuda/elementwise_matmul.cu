// Products in f32 whose sums have one order, given by the inputs alone.
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/small_device.cuh"

namespace hachi::ops::cuda {
namespace {

using small::kWarp;

constexpr int kThreads = 256;
constexpr int kPart = 4;  // neighbouring inputs that a lane takes

struct Product {
  const float* w;
  const float* x;
  float* y;
  int64_t x_stride;
  int64_t y_stride;
  int64_t rows;
  int64_t outputs;
  int64_t inputs;
  bool wide;
  bool add;
};

__device__ __forceinline__ float4 load_part(const float* from, int64_t count, bool wide) {
  if (wide) return *reinterpret_cast<const float4*>(from);
  return make_float4(from[0], count > 1 ? from[1] : 0.0f, count > 2 ? from[2] : 0.0f,
                     count > 3 ? from[3] : 0.0f);
}

// A warp makes kRows x kOutputs sums: each weight that it reads serves kRows rows. Lane l adds up
// inputs 4 l + 0..3, then those 128 further; the lanes' sums are joined as a tree. Rows and outputs
// beyond the last are computed from the last and not stored.
template <int kRows, int kOutputs>
__global__ void __launch_bounds__(kThreads) plain_matmul_f32_warp_per_sum_kernel(Product p) {
  small::begin();
  const int64_t warp = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t output = warp * kOutputs;
  const int64_t row = static_cast<int64_t>(blockIdx.y) * kRows;
  if (output >= p.outputs) return;
  float sums[kRows][kOutputs] = {};
  for (int64_t i = lane * kPart; i < p.inputs; i += kWarp * kPart) {
    float4 w[kOutputs];
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      const int64_t from = min(output + o, p.outputs - 1) * p.inputs + i;
      w[o] = load_part(p.w + from, p.inputs - i, p.wide);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t from = min(row + r, p.rows - 1) * p.x_stride + i;
      const float4 x = load_part(p.x + from, p.inputs - i, p.wide);
#pragma unroll
      for (int o = 0; o < kOutputs; ++o) {
        float& sum = sums[r][o];
        sum = fmaf(x.x, w[o].x, sum);
        sum = fmaf(x.y, w[o].y, sum);
        sum = fmaf(x.z, w[o].z, sum);
        sum = fmaf(x.w, w[o].w, sum);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      float sum = sums[r][o];
      for (int step = kWarp / 2; step > 0; step /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
      }
      if (lane == 0 && row + r < p.rows && output + o < p.outputs) {
        float& y = p.y[(row + r) * p.y_stride + output + o];
        y = p.add ? y + sum : sum;
      }
    }
  }
}

template <int kRows, int kOutputs>
void launch_product(Stream stream, const Product& p) {
  const int64_t warps = (p.outputs + kOutputs - 1) / kOutputs;
  const int64_t blocks = (warps * kWarp + kThreads - 1) / kThreads;
  const dim3 grid(static_cast<unsigned>(blocks),
                  static_cast<unsigned>((p.rows + kRows - 1) / kRows));
  launch(stream, plain_matmul_f32_warp_per_sum_kernel<kRows, kOutputs>, grid, kThreads, 0, p);
}

}  // namespace

void plain_matmul(Stream stream, Rows y, Rows x, const float* w, bool add, int64_t rows,
                  int64_t outputs, int64_t inputs) {
  CHECK(y.type == DType::kF32 && x.type == DType::kF32);
  if (rows == 0 || outputs == 0) return;
  const auto addresses = reinterpret_cast<uintptr_t>(w) | reinterpret_cast<uintptr_t>(x.data);
  const bool wide = addresses % 16 == 0 && x.stride % kPart == 0 && inputs % kPart == 0;
  const Product product{w,
                        static_cast<const float*>(x.data),
                        static_cast<float*>(y.data),
                        x.stride,
                        y.stride,
                        rows,
                        outputs,
                        inputs,
                        wide,
                        add};
  if (rows <= 2) {
    launch_product<1, 1>(stream, product);
  } else {
    launch_product<8, 4>(stream, product);
  }
}

}  // namespace hachi::ops::cuda
