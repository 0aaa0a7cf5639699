// The ops in which each element of a row stands for itself.
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/small_device.cuh"

namespace hachi::ops::cuda {
namespace {

using small::kVector;
using small::View;

constexpr int kMapThreads = 256;
constexpr int kMostPicked = 64;  // row numbers that travel with a launch

// A block takes kMapThreads vectors of one row.
template <class Op>
__global__ void __launch_bounds__(kMapThreads) map_rows_kernel(Op op, int width) {
  small::begin();
  const int column = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * kVector;
  if (column < width) op(blockIdx.x, column, width - column);
}

template <class Op>
void map_rows(Stream stream, const Op& op, int64_t rows, int64_t width) {
  if (rows == 0 || width == 0) return;
  const int threads = small::row_threads(width, kMapThreads);
  const int64_t block = static_cast<int64_t>(threads) * kVector;
  const dim3 grid(static_cast<unsigned>(rows), static_cast<unsigned>((width + block - 1) / block));
  launch(stream, map_rows_kernel<Op>, grid, threads, 0, op, static_cast<int>(width));
}

struct Embed {
  View y;
  const int32_t* ids;
  const void* table;
  DType type;
  bool wide;  // each vector of the table lies on its own size
  float scale;
  int64_t width;

  template <class T, class Wide, class ToFloat>
  __device__ void read(int64_t first, int count, ToFloat to_float, float (&v)[kVector]) const {
    alignas(16) T raw[kVector] = {};
    const T* from = static_cast<const T*>(table) + first;
    if (wide) {
      *reinterpret_cast<Wide*>(raw) = *reinterpret_cast<const Wide*>(from);
    } else {
#pragma unroll
      for (int k = 0; k < kVector; ++k) {
        if (k < count) raw[k] = from[k];
      }
    }
#pragma unroll
    for (int k = 0; k < kVector; ++k) v[k] = to_float(raw[k]);
  }

  __device__ void operator()(int64_t row, int column, int count) const {
    const int64_t first = ids[row] * width + column;
    float v[kVector];
    if (type == DType::kF32) {
      small::load_f32(static_cast<const float*>(table) + first, wide, count, v);
    } else if (type == DType::kF16) {
      read<__half, uint4>(
          first, count, [](__half x) { return __half2float(x); }, v);
    } else if (type == DType::kBF16) {
      read<__nv_bfloat16, uint4>(
          first, count, [](__nv_bfloat16 x) { return __bfloat162float(x); }, v);
    } else {
      read<__nv_fp8_e4m3, uint2>(
          first, count, [](__nv_fp8_e4m3 x) { return static_cast<float>(x); }, v);
    }
#pragma unroll
    for (int k = 0; k < kVector; ++k) v[k] *= scale;
    small::store(y, row * y.stride + column, count, v);
  }
};

struct Add {
  View y;
  View x;

  __device__ void operator()(int64_t row, int column, int count) const {
    float sum[kVector];
    float v[kVector];
    const small::Raw raw_y = small::load_raw(y, row * y.stride + column, count);
    const small::Raw raw_x = small::load_raw(x, row * x.stride + column, count);
    small::to_floats(raw_y, y.type, sum);
    small::to_floats(raw_x, x.type, v);
#pragma unroll
    for (int k = 0; k < kVector; ++k) sum[k] += v[k];
    small::store(y, row * y.stride + column, count, sum);
  }
};

struct Gated {
  View y;
  View gate_up;
  bool gelu;
  int64_t width;

  __device__ void operator()(int64_t row, int column, int count) const {
    const int64_t first = row * gate_up.stride + column;
    float gate[kVector];
    float up[kVector];
    small::load_pair(gate_up, first, first + width, count, gate, up);
#pragma unroll
    for (int k = 0; k < kVector; ++k) gate[k] = small::gated_value(gate[k], up[k], gelu);
    small::store(y, row * y.stride + column, count, gate);
  }
};

struct Convert {
  View y;
  View x;

  __device__ void operator()(int64_t row, int column, int count) const {
    float v[kVector];
    small::load(x, row * x.stride + column, count, v);
    small::store(y, row * y.stride + column, count, v);
  }
};

struct Gather {
  View y;
  View x;
  const int64_t* picked;  // the GPU's; null: those below
  int64_t carried[kMostPicked];

  __device__ void operator()(int64_t row, int column, int count) const {
    const int64_t from = picked != nullptr ? picked[row] : carried[row];
    float v[kVector];
    small::load(x, from * x.stride + column, count, v);
    small::store(y, row * y.stride + column, count, v);
  }
};

__global__ void rope_angles_f32_kernel(float* cos_sin, const int32_t* positions,
                                       const float* inv_freq, float magnitude, int half) {
  small::begin();
  const int64_t row = blockIdx.x;
  float* out = cos_sin + row * 2 * half;
  const auto position = static_cast<float>(positions[row]);
  for (int i = static_cast<int>(threadIdx.x); i < half; i += static_cast<int>(blockDim.x)) {
    float sine = 0;
    float cosine = 0;
    // The product is rounded by itself, as the models were trained; no fused multiply-add here.
    sincosf(__fmul_rn(position, inv_freq[i]), &sine, &cosine);
    out[i] = magnitude * cosine;
    out[half + i] = magnitude * sine;
  }
}

bool on_gpu(const void* pointer) {
  cudaPointerAttributes attributes{};
  CHECK_CUDA(cudaPointerGetAttributes(&attributes, pointer));
  return attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
}

}  // namespace

void embed(Stream stream, Rows y, const int32_t* ids, const void* table, DType table_type,
           float table_scale, int64_t rows, int64_t width) {
  CHECK(table_type == DType::kF32 || table_type == DType::kF16 || table_type == DType::kBF16 ||
        table_type == DType::kF8E4M3);
  const bool wide = reinterpret_cast<uintptr_t>(table) % 16 == 0 && width % kVector == 0;
  map_rows(stream, Embed{small::view(y, width), ids, table, table_type, wide, table_scale, width},
           rows, width);
}

void rope_angles(Stream stream, float* cos_sin, const int32_t* positions, const float* inv_freq,
                 float magnitude, int64_t rows, int64_t head_dim) {
  CHECK_EQ(head_dim % 2, 0);
  if (rows == 0) return;
  const auto half = static_cast<int>(head_dim / 2);
  launch(stream, rope_angles_f32_kernel, dim3(static_cast<unsigned>(rows)),
         std::clamp(half, 1, kMapThreads), 0, cos_sin, positions, inv_freq, magnitude, half);
}

void add(Stream stream, Rows y, Rows x, int64_t rows, int64_t width) {
  map_rows(stream, Add{small::view(y, width), small::view(x, width)}, rows, width);
}

void gated(Stream stream, Rows y, Rows gate_up, bool gelu, int64_t rows, int64_t width) {
  map_rows(stream, Gated{small::view(y, width), small::view(gate_up, width), gelu, width}, rows,
           width);
}

void gather(Stream stream, Rows y, Rows x, const int64_t* picked, int64_t count, int64_t width) {
  if (count == 0) return;
  Gather op{small::view(y, width), small::view(x, width), nullptr, {}};
  if (on_gpu(picked)) {
    op.picked = picked;
  } else {
    CHECK_LE(count, kMostPicked);
    std::copy_n(picked, count, op.carried);
  }
  map_rows(stream, op, count, width);
}

void convert(Stream stream, Rows y, Rows x, int64_t rows, int64_t width) {
  map_rows(stream, Convert{small::view(y, width), small::view(x, width)}, rows, width);
}

}  // namespace hachi::ops::cuda
