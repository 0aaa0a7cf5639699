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
constexpr int kQuantizeThreads = 512;
// Of a row to be quantized, what waits in shared memory for its scale: as much as a block has
// without asking for more, 12,224 elements. The rest of a longer row is read a second time.
constexpr int kVectorBytes = kVector * static_cast<int>(sizeof(float));
constexpr int kPartialsBytes = 2 * kWarp * static_cast<int>(sizeof(float));
constexpr int kMaxKeptVectors = (48 * 1024 - kPartialsBytes) / kVectorBytes;
constexpr int kLanesRowThreads = 128;  // of a block that has several rows
constexpr int kHalfWarp = kWarp / 2;
constexpr int64_t kMaxGroups = int64_t{1} << 30;  // their numbers are 32 bits
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
  unsigned groups;  // rows * heads
  unsigned heads;
  int width;

  __device__ int64_t first(const View& rows, unsigned group) const {
    return group / heads * rows.stride + static_cast<int64_t>(group % heads) * width;
  }
  __device__ void write(unsigned group, int column, const float (&v)[kVector],
                        const float (&w)[kVector], float inverse) const {
    float out[kVector];
#pragma unroll
    for (int k = 0; k < kVector; ++k) out[k] = v[k] * inverse * w[k];
    small::store(y, first(y, group) + column, width - column, out);
  }
};

// kLanes of a warp have a row of up to kLanes * kVector elements. Weights are the model's, so that
// they may be read before the kernels before this one are done.
template <int kLanes>
__global__ void __launch_bounds__(kLanesRowThreads) rms_norm_lanes_per_row_kernel(Norm norm) {
  const unsigned group = (blockIdx.x * kLanesRowThreads + threadIdx.x) / kLanes;
  const int column = static_cast<int>(threadIdx.x % kLanes) * kVector;
  const bool inside = group < norm.groups && column < norm.width;
  const int count = norm.width - column;
  float w[kVector] = {};
  float v[kVector] = {};
  if (inside) small::load_f32(norm.weight + column, norm.wide_weight, count, w);
  small::begin();
  if (inside) small::load(norm.x, norm.first(norm.x, group) + column, count, v);
  const float squares = join_lanes<kLanes>(add_squares(v, 0.0f), Sum());
  if (inside) norm.write(group, column, v, w, inverse_rms(squares, norm.width, norm.eps));
}

// Rows of up to kMaxRowThreads * kVector elements stay in registers; the rest of a longer one is
// read a second time.
__global__ void __launch_bounds__(kMaxRowThreads) rms_norm_block_per_row_kernel(Norm norm) {
  __shared__ float partials[kWarp];
  const unsigned group = blockIdx.x;
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
    small::load_pair(gate_up, first, first + width, width - column, v, up);
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

  // The scale that all of the row has; of kBlock128, none.
  template <class FindLargest>
  __device__ float row_scale(int64_t row, FindLargest find_largest) const {
    if (span == ScaleSpan::kMatrix) return *scales;
    if (span == ScaleSpan::kBlock128) return 1;
    const float scale = scale_of(find_largest());
    if (threadIdx.x == 0) scales[row] = scale;
    return scale;
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

// Vectors in shared memory, each read by the thread that wrote it.
struct Kept {
  float4* halves;
  int capacity;

  __device__ bool holds(int vector) const { return vector < capacity; }
  __device__ void put(int vector, const float (&v)[kVector]) const {
    halves[vector] = make_float4(v[0], v[1], v[2], v[3]);
    halves[capacity + vector] = make_float4(v[4], v[5], v[6], v[7]);
  }
  __device__ void get(int vector, float (&v)[kVector]) const {
    *reinterpret_cast<float4*>(v) = halves[vector];
    *reinterpret_cast<float4*>(v + 4) = halves[capacity + vector];
  }
};

template <class Source>
__global__ void __launch_bounds__(kQuantizeThreads, 4)
    quantize_e4m3_block_per_row_kernel(Source source, Target to, float eps, int width,
                                       int capacity) {
  extern __shared__ float4 room[];
  __shared__ float partial_sums[kWarp];
  __shared__ float partial_maxima[kWarp];
  const Kept kept{room, capacity};
  const int64_t row = blockIdx.x;
  const int vectors = (width + kVector - 1) / kVector;
  const int threads = static_cast<int>(blockDim.x);
  const int thread = static_cast<int>(threadIdx.x);
  small::begin();
  float squares = 0;
  float most = 0;
  for (int i = thread; i < vectors; i += threads) {
    float v[kVector];
    squares += source.load(row, i * kVector, width, v);
    most = fmaxf(most, largest(v));
    if (kept.holds(i)) kept.put(i, v);
  }
  float inverse = 1;
  if (source.normed()) {
    inverse = inverse_rms(join_block(squares, partial_sums, Sum()), width, eps);
  }
  const float scale =
      to.row_scale(row, [&] { return join_block(most, partial_maxima, Maximum()) * inverse; });
  for (int first = 0; first < vectors; first += threads) {
    const int i = first + thread;
    float v[kVector] = {};
    if (i < vectors) {
      if (kept.holds(i)) {
        kept.get(i, v);
      } else {
        source.load(row, i * kVector, width, v);
      }
    }
    to.quantize(row, i * kVector, width, v, inverse, scale);
  }
}

template <class Source>
void quantize(Stream stream, const Source& source, const Quantized& to, float eps, int64_t rows,
              int64_t width) {
  if (rows == 0 || width == 0) return;
  if (to.span == ScaleSpan::kBlock128) CHECK_GE(to.scale_stride, rows);
  const bool wide = reinterpret_cast<uintptr_t>(to.rows) % kVector == 0 && width % kVector == 0;
  const Target target{to.rows, to.scales, to.scale_stride, to.span, wide};
  const auto vectors = static_cast<int>((width + kVector - 1) / kVector);
  const int capacity = std::min(vectors, kMaxKeptVectors);
  launch(stream, quantize_e4m3_block_per_row_kernel<Source>, dim3(static_cast<unsigned>(rows)),
         small::row_threads(width, kQuantizeThreads), static_cast<size_t>(capacity) * kVectorBytes,
         source, target, eps, static_cast<int>(width), capacity);
}

template <int kLanes>
void launch_lanes(Stream stream, const Norm& norm) {
  constexpr unsigned kRows = kLanesRowThreads / kLanes;
  launch(stream, rms_norm_lanes_per_row_kernel<kLanes>, dim3((norm.groups + kRows - 1) / kRows),
         kLanesRowThreads, 0, norm);
}

bool wide_weights(const float* weight, int64_t width) {
  return reinterpret_cast<uintptr_t>(weight) % 16 == 0 && width % kVector == 0;
}

}  // namespace

void rms_norm(Stream stream, Rows y, Rows x, const float* weight, float eps, int64_t rows,
              int64_t heads, int64_t width) {
  const int64_t groups = rows * heads;
  if (groups == 0 || width == 0) return;
  CHECK_LE(groups, kMaxGroups);
  const Norm norm{small::view(y, width),
                  small::view(x, width),
                  weight,
                  wide_weights(weight, width),
                  eps,
                  static_cast<unsigned>(groups),
                  static_cast<unsigned>(heads),
                  static_cast<int>(width)};
  if (width <= kHalfWarp * kVector) {
    launch_lanes<kHalfWarp>(stream, norm);
  } else if (width <= kWarp * kVector) {
    launch_lanes<kWarp>(stream, norm);
  } else {
    launch(stream, rms_norm_block_per_row_kernel, dim3(norm.groups),
           small::row_threads(width, kMaxRowThreads), 0, norm);
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
