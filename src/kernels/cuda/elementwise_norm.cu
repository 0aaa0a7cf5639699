// The ops that need a sum or a maximum over a row. Which elements a thread takes, and the order in
// which threads are joined, depend on the width alone; so does a row's result.
#include <cuda_fp8.h>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/small_device.cuh"

namespace hachi::ops::cuda {
namespace {

using small::kVector;
using small::kWarp;
using small::View;

constexpr int kMaxRowThreads = 1024;
constexpr int kQuantizeThreads = 512;         // three blocks on a multiprocessor
constexpr int kWarpRowThreads = 128;          // of a block in which each warp has a row
constexpr int kMaxWarpRow = kWarp * kVector;  // elements
constexpr float kMaxE4m3 = 448;
constexpr int kScaleGroup = 128;  // elements with one scale of ScaleSpan::kBlock128
// Rows of zeros get a scale that can be divided by.
constexpr float kLeastMaximum = 1e-12f;

struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

struct Maximum {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

// Joins the values of each `lanes` neighbouring lanes; all of them get the same bits.
template <int lanes, class Join>
__device__ __forceinline__ float join_lanes(float value, Join join) {
#pragma unroll
  for (int step = lanes / 2; step > 0; step /= 2) {
    value = join(value, __shfl_xor_sync(0xffffffffu, value, step));
  }
  return value;
}

// Joins the values of a block. `partials` holds one for each warp and is used once a kernel. All
// values are at least 0, or `join` is a sum, so that 0 changes nothing.
template <class Join>
__device__ __forceinline__ float join_block(float value, float* partials, Join join) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  value = join_lanes<kWarp>(value, join);
  if (lane == 0) partials[warp] = value;
  __syncthreads();
  const int num_warps = static_cast<int>(blockDim.x) / kWarp;
  return join_lanes<kWarp>(lane < num_warps ? partials[lane] : 0.0f, join);
}

__device__ __forceinline__ float add_squares(const float (&v)[kVector], float sum) {
#pragma unroll
  for (int k = 0; k < kVector; ++k) sum = fmaf(v[k], v[k], sum);
  return sum;
}

__device__ __forceinline__ float inverse_rms(float squares, int width, float eps) {
  return 1.0f / sqrtf(squares / static_cast<float>(width) + eps);
}

struct Norm {
  View y;
  View x;
  const float* weight;
  bool wide_weight;
  float eps;
  int64_t groups;  // rows * heads
  int heads;
  int width;

  __device__ int64_t first(const View& rows, int64_t group) const {
    return group / heads * rows.stride + group % heads * width;
  }
  // `count` is what is left of the row.
  __device__ void write(int64_t group, int column, const float (&v)[kVector],
                        const float (&w)[kVector], float inverse) const {
    float out[kVector];
#pragma unroll
    for (int k = 0; k < kVector; ++k) out[k] = v[k] * inverse * w[k];
    small::store(y, first(y, group) + column, width - column, out);
  }
};

__global__ void __launch_bounds__(kWarpRowThreads) rms_norm_warp_per_row_kernel(Norm norm) {
  const int64_t group = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  const int column = static_cast<int>(threadIdx.x % kWarp) * kVector;
  const bool inside = group < norm.groups && column < norm.width;
  const int count = norm.width - column;
  float w[kVector] = {};
  float v[kVector] = {};
  if (inside) small::load_f32(norm.weight + column, norm.wide_weight, count, w);
  small::begin();
  if (inside) small::load(norm.x, norm.first(norm.x, group) + column, count, v);
  const float squares = join_lanes<kWarp>(add_squares(v, 0.0f), Sum());
  if (inside) norm.write(group, column, v, w, inverse_rms(squares, norm.width, norm.eps));
}

// Rows of up to kMaxRowThreads * kVector elements stay in registers; the rest of a longer one is
// read a second time.
__global__ void __launch_bounds__(kMaxRowThreads) rms_norm_block_per_row_kernel(Norm norm) {
  __shared__ float partials[kWarp];
  const int64_t group = blockIdx.x;
  const int column = static_cast<int>(threadIdx.x) * kVector;
  const int step = static_cast<int>(blockDim.x) * kVector;
  float w[kVector] = {};
  float v[kVector] = {};
  if (column < norm.width) {
    small::load_f32(norm.weight + column, norm.wide_weight, norm.width - column, w);
  }
  small::begin();
  const int64_t row = norm.first(norm.x, group);
  if (column < norm.width) small::load(norm.x, row + column, norm.width - column, v);
  float squares = add_squares(v, 0.0f);
  for (int c = column + step; c < norm.width; c += step) {
    float more[kVector];
    small::load(norm.x, row + c, norm.width - c, more);
    squares = add_squares(more, squares);
  }
  const float inverse = inverse_rms(join_block(squares, partials, Sum()), norm.width, norm.eps);
  if (column < norm.width) norm.write(group, column, v, w, inverse);
  for (int c = column + step; c < norm.width; c += step) {
    small::load(norm.x, row + c, norm.width - c, v);
    small::load_f32(norm.weight + c, norm.wide_weight, norm.width - c, w);
    norm.write(group, c, v, w, inverse);
  }
}

// Where the elements to be quantized come from: x, which may be scaled by a norm's weight ...
struct PlainSource {
  View x;
  const float* norm;
  bool wide_norm;

  // v = x * norm; returns the sum of squares of x.
  __device__ float load(int64_t row, int column, int width, float (&v)[kVector]) const {
    small::load(x, row * x.stride + column, width - column, v);
    if (norm == nullptr) return 0;
    const float squares = add_squares(v, 0.0f);
    float w[kVector];
    small::load_f32(norm + column, wide_norm, width - column, w);
#pragma unroll
    for (int k = 0; k < kVector; ++k) v[k] *= w[k];
    return squares;
  }
  __device__ bool normed() const { return norm != nullptr; }
};

// ... or act(gate) * up.
struct GatedSource {
  View gate_up;
  bool gelu;

  __device__ float load(int64_t row, int column, int width, float (&v)[kVector]) const {
    const int64_t first = row * gate_up.stride + column;
    float up[kVector];
    small::load(gate_up, first, width - column, v);
    small::load(gate_up, first + width, width - column, up);
#pragma unroll
    for (int k = 0; k < kVector; ++k) v[k] = small::gated_value(v[k], up[k], gelu);
    return 0;
  }
  __device__ bool normed() const { return false; }
};

__device__ __forceinline__ float largest(const float (&v)[kVector]) {
  float most = 0;
#pragma unroll
  for (int k = 0; k < kVector; ++k) most = fmaxf(most, fabsf(v[k]));
  return most;
}

__device__ __forceinline__ float scale_of(float most) {
  return fmaxf(most, kLeastMaximum) / kMaxE4m3;
}

struct Target {
  uint8_t* rows;
  float* scales;
  int64_t scale_stride;
  ScaleSpan span;
  bool wide;

  __device__ void write(int64_t row, int column, int width, const float (&v)[kVector],
                        float factor) const {
    uint8_t* to = rows + row * static_cast<int64_t>(width) + column;
    alignas(8) __nv_fp8x2_storage_t q[kVector / 2];
#pragma unroll
    for (int k = 0; k < kVector / 2; ++k) {
      q[k] = __nv_cvt_float2_to_fp8x2(make_float2(v[2 * k] * factor, v[2 * k + 1] * factor),
                                      __NV_SATFINITE, __NV_E4M3);
    }
    if (wide) {
      *reinterpret_cast<uint2*>(to) = *reinterpret_cast<const uint2*>(q);
    } else {
#pragma unroll
      for (int k = 0; k < kVector; ++k) {
        if (column + k < width) to[k] = static_cast<uint8_t>(q[k / 2] >> (8 * (k % 2)));
      }
    }
  }

  // Quantizes what a thread has of a row; all threads of the block call it together, those beyond
  // the row with zeros.
  __device__ void quantize(int64_t row, int column, int width, const float (&v)[kVector],
                           float inverse, float scale) const {
    if (span == ScaleSpan::kBlock128) {
      constexpr int kLanes = kScaleGroup / kVector;
      scale = scale_of(join_lanes<kLanes>(largest(v), Maximum()) * inverse);
      if (threadIdx.x % kLanes == 0 && column < width) {
        scales[column / kScaleGroup * scale_stride + row] = scale;
      }
    }
    if (column < width) write(row, column, width, v, inverse / scale);
  }
};

template <class Source>
__global__ void __launch_bounds__(kQuantizeThreads, 3)
    quantize_e4m3_block_per_row_kernel(Source source, Target to, float eps, int width) {
  __shared__ float partial_sums[kWarp];
  __shared__ float partial_maxima[kWarp];
  const int64_t row = blockIdx.x;
  const int step = static_cast<int>(blockDim.x) * kVector;
  const int column = static_cast<int>(threadIdx.x) * kVector;
  small::begin();
  float held[kVector] = {};
  float squares = column < width ? source.load(row, column, width, held) : 0.0f;
  float most = largest(held);
  for (int c = column + step; c < width; c += step) {
    float more[kVector];
    squares += source.load(row, c, width, more);
    most = fmaxf(most, largest(more));
  }
  float inverse = 1;
  if (source.normed()) {
    inverse = inverse_rms(join_block(squares, partial_sums, Sum()), width, eps);
  }
  float scale = 1;
  if (to.span == ScaleSpan::kRow) {
    scale = scale_of(join_block(most, partial_maxima, Maximum()) * inverse);
    if (threadIdx.x == 0) to.scales[row] = scale;
  } else if (to.span == ScaleSpan::kMatrix) {
    scale = *to.scales;
  }
  to.quantize(row, column, width, held, inverse, scale);
  for (int base = step; base < width; base += step) {
    float more[kVector] = {};
    if (base + column < width) source.load(row, base + column, width, more);
    to.quantize(row, base + column, width, more, inverse, scale);
  }
}

template <class Source>
void quantize(Stream stream, const Source& source, const Quantized& to, float eps, int64_t rows,
              int64_t width) {
  if (rows == 0 || width == 0) return;
  if (to.span == ScaleSpan::kBlock128) CHECK_GE(to.scale_stride, rows);
  const bool wide = reinterpret_cast<uintptr_t>(to.rows) % kVector == 0 && width % kVector == 0;
  const Target target{to.rows, to.scales, to.scale_stride, to.span, wide};
  small::launch(quantize_e4m3_block_per_row_kernel<Source>, dim3(static_cast<unsigned>(rows)),
                small::row_threads(width, kQuantizeThreads), stream, source, target, eps,
                static_cast<int>(width));
}

bool wide_weights(const float* weight, int64_t width) {
  return reinterpret_cast<uintptr_t>(weight) % 16 == 0 && width % kVector == 0;
}

}  // namespace

void rms_norm(Stream stream, Rows y, Rows x, const float* weight, float eps, int64_t rows,
              int64_t heads, int64_t width) {
  const int64_t groups = rows * heads;
  if (groups == 0 || width == 0) return;
  const Norm norm{small::view(y, width),
                  small::view(x, width),
                  weight,
                  wide_weights(weight, width),
                  eps,
                  groups,
                  static_cast<int>(heads),
                  static_cast<int>(width)};
  if (width <= kMaxWarpRow) {
    constexpr int kRows = kWarpRowThreads / kWarp;
    const dim3 grid(static_cast<unsigned>((groups + kRows - 1) / kRows));
    small::launch(rms_norm_warp_per_row_kernel, grid, kWarpRowThreads, stream, norm);
  } else {
    small::launch(rms_norm_block_per_row_kernel, dim3(static_cast<unsigned>(groups)),
                  small::row_threads(width, kMaxRowThreads), stream, norm);
  }
}

void quantize_rows(Stream stream, const Quantized& to, Rows x, const float* norm, float eps,
                   int64_t rows, int64_t width) {
  const PlainSource source{small::view(x, width), norm, wide_weights(norm, width)};
  quantize(stream, source, to, eps, rows, width);
}

void quantize_gated(Stream stream, const Quantized& to, Rows gate_up, bool gelu, int64_t rows,
                    int64_t width) {
  quantize(stream, GatedSource{small::view(gate_up, width), gelu}, to, 0, rows, width);
}

}  // namespace hachi::ops::cuda
