#include <cuda_bf16.h>

#include "kernels/cuda/block_elements.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/tile_format.h"
#include "kernels/cuda/tiles.h"

namespace hachi::ops::cuda {
namespace {

constexpr int kThreads = 256;

dim3 blocks_for(int64_t threads) {
  return dim3(static_cast<unsigned>((threads + kThreads - 1) / kThreads));
}

// Where a group of 32 columns of a row lies in tiles.
struct GroupPlace {
  int64_t chunk;  // bytes
  int row;        // in the tile
  int column;     // in the chunk
};

__device__ GroupPlace place_of(ChunkFormat format, int64_t row, int64_t column, int64_t inputs) {
  const int64_t chunk = row / kTileRows * (inputs / kChunkColumns) + column / kChunkColumns;
  return {chunk * format.bytes(), static_cast<int>(row % kTileRows),
          static_cast<int>(column % kChunkColumns)};
}

// A thread packs 32 columns of a row. What is not f16 in the file, the scales of Q4_K, Q6_K and
// Q3_K, is rounded to it.
template <class Block, Layout kLayout>
__global__ void pack_tiles_kernel(uint8_t* to, const Block* from, int64_t outputs, int64_t inputs) {
  constexpr ChunkFormat kFormat = chunk_format(kLayout);
  constexpr int kPerGroup = kFormat.scales_per_row / 4;  // scales of 32 columns
  const int64_t group = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x;
  if (group >= outputs * (inputs / 32)) return;
  const int64_t row = group / (inputs / 32);
  const int64_t column = group % (inputs / 32) * 32;
  const Block& block = from[group * 32 / kBlockSize<Block>];
  const int first = static_cast<int>(column % kBlockSize<Block>);
  const GroupPlace place = place_of(kFormat, row, column, inputs);
  uint8_t* chunk = to + place.chunk;
  for (int c = 0; c < 32; c += 8) {
    uint32_t words[2] = {};
    for (int j = 0; j < 8; ++j) {
      int q = element(block, first + c + j).q;
      if (kLayout == Layout::kInt4) q += 8;
      words[j / 4] |= static_cast<uint32_t>(q & 0xff) << (j % 4 * 8);
    }
    const auto put = [&](int at, uint32_t word) {
      const int byte = weight_place(kLayout, place.row, place.column + at).byte;
      *reinterpret_cast<uint32_t*>(chunk + byte) = word;
    };
    if (kFormat.weight_bytes == 1024) {
      put(c, words[0] | words[1] << 4);
    } else {
      put(c, words[0]);
      put(c + 4, words[1]);
    }
  }
  for (int i = 0; i < kPerGroup; ++i) {
    const Element e = element(block, first + i * 16);
    const int index = place.column / 32 * kPerGroup + i;
    *reinterpret_cast<__half*>(chunk + scale_place(kFormat, place.row, index)) =
        __float2half_rn(e.scale);
    if (kFormat.has_mins) {
      *reinterpret_cast<__half*>(chunk + min_place(kFormat, place.row, index)) =
          __float2half_rn(e.min);
    }
  }
}

// A thread rounds an element.
template <class Block>
__global__ void pack_bf16_kernel(__nv_bfloat16* to, const Block* from, int64_t count) {
  const int64_t i = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x;
  if (i >= count) return;
  const Element e = element(from[i / kBlockSize<Block>], static_cast<int>(i % kBlockSize<Block>));
  // As unpack_block.h says: the product is rounded, then the sum.
  to[i] = __float2bfloat16_rn(__fadd_rn(__fmul_rn(e.scale, static_cast<float>(e.q)), e.min));
}

template <class Block, Layout kLayout>
void pack_tiles(Stream stream, void* data, const void* source, int64_t outputs, int64_t inputs) {
  pack_tiles_kernel<Block, kLayout><<<blocks_for(outputs * inputs / 32), kThreads, 0, stream>>>(
      static_cast<uint8_t*>(data), static_cast<const Block*>(source), outputs, inputs);
  CHECK_CUDA(cudaGetLastError());
}

template <class Block>
void pack_bf16(Stream stream, void* data, const void* source, int64_t count) {
  CHECK(count % kBlockSize<Block> == 0);
  pack_bf16_kernel<Block><<<blocks_for(count), kThreads, 0, stream>>>(
      static_cast<__nv_bfloat16*>(data), static_cast<const Block*>(source), count);
  CHECK_CUDA(cudaGetLastError());
}

void copy_grids() {
  CHECK_CUDA(cudaMemcpyToSymbol(device_grid_iq3_s, kGridIQ3_S.data(), sizeof kGridIQ3_S));
  CHECK_CUDA(cudaMemcpyToSymbol(device_grid_iq3_xxs, kGridIQ3_XXS.data(), sizeof kGridIQ3_XXS));
  CHECK_CUDA(cudaMemcpyToSymbol(device_grid_iq2_s, kGridIQ2_S.data(), sizeof kGridIQ2_S));
  CHECK_CUDA(cudaMemcpyToSymbol(device_grid_iq2_xs, kGridIQ2_XS.data(), sizeof kGridIQ2_XS));
  CHECK_CUDA(cudaMemcpyToSymbol(device_grid_iq2_xxs, kGridIQ2_XXS.data(), sizeof kGridIQ2_XXS));
}

void pack_grid_bf16(Stream stream, void* data, const void* source, DType dtype, int64_t count) {
  copy_grids();
  switch (dtype) {
    case DType::kIQ3_S:
      return pack_bf16<BlockIQ3_S>(stream, data, source, count);
    case DType::kIQ3_XXS:
      return pack_bf16<BlockIQ3_XXS>(stream, data, source, count);
    case DType::kIQ2_S:
      return pack_bf16<BlockIQ2_S>(stream, data, source, count);
    case DType::kIQ2_XS:
      return pack_bf16<BlockIQ2_XS>(stream, data, source, count);
    case DType::kIQ2_XXS:
      return pack_bf16<BlockIQ2_XXS>(stream, data, source, count);
    default:
      CHECK(false);
  }
}

void copy(Stream stream, void* to, const void* from, int64_t bytes) {
  CHECK_CUDA(
      cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, stream));
}

void pack_any_bf16(Stream stream, void* data, const void* source, DType dtype, int64_t count) {
  switch (dtype) {
    case DType::kBF16:
      return copy(stream, data, source, count * 2);
    case DType::kF32:
      return pack_bf16<Plain<float>>(stream, data, source, count);
    case DType::kF16:
      return pack_bf16<Plain<__half>>(stream, data, source, count);
    case DType::kQ4_0:
      return pack_bf16<BlockQ4_0>(stream, data, source, count);
    case DType::kQ4_1:
      return pack_bf16<BlockQ4_1>(stream, data, source, count);
    case DType::kQ5_0:
      return pack_bf16<BlockQ5_0>(stream, data, source, count);
    case DType::kQ5_1:
      return pack_bf16<BlockQ5_1>(stream, data, source, count);
    case DType::kQ8_0:
      return pack_bf16<BlockQ8_0>(stream, data, source, count);
    case DType::kQ2_K:
      return pack_bf16<BlockQ2_K>(stream, data, source, count);
    case DType::kQ3_K:
      return pack_bf16<BlockQ3_K>(stream, data, source, count);
    case DType::kQ4_K:
      return pack_bf16<BlockQ4_K>(stream, data, source, count);
    case DType::kQ5_K:
      return pack_bf16<BlockQ5_K>(stream, data, source, count);
    case DType::kQ6_K:
      return pack_bf16<BlockQ6_K>(stream, data, source, count);
    case DType::kIQ4_NL:
      return pack_bf16<BlockIQ4_NL>(stream, data, source, count);
    case DType::kIQ4_XS:
      return pack_bf16<BlockIQ4_XS>(stream, data, source, count);
    default:
      return pack_grid_bf16(stream, data, source, dtype, count);
  }
}

void pack_any_tiles(Stream stream, void* data, const void* source, DType dtype, int64_t outputs,
                    int64_t inputs) {
  switch (dtype) {
    case DType::kQ4_0:
      return pack_tiles<BlockQ4_0, Layout::kInt4>(stream, data, source, outputs, inputs);
    case DType::kQ4_1:
      return pack_tiles<BlockQ4_1, Layout::kInt4Min>(stream, data, source, outputs, inputs);
    case DType::kQ4_K:
      return pack_tiles<BlockQ4_K, Layout::kInt4Min>(stream, data, source, outputs, inputs);
    case DType::kQ8_0:
      return pack_tiles<BlockQ8_0, Layout::kInt8>(stream, data, source, outputs, inputs);
    case DType::kQ5_0:
      return pack_tiles<BlockQ5_0, Layout::kInt8>(stream, data, source, outputs, inputs);
    case DType::kIQ4_NL:
      return pack_tiles<BlockIQ4_NL, Layout::kInt8>(stream, data, source, outputs, inputs);
    case DType::kQ6_K:
      return pack_tiles<BlockQ6_K, Layout::kInt8Half>(stream, data, source, outputs, inputs);
    case DType::kQ3_K:
      return pack_tiles<BlockQ3_K, Layout::kInt8Half>(stream, data, source, outputs, inputs);
    default:
      CHECK(false);
  }
}

// Eight neighbouring bf16, as a thread writes them.
struct alignas(16) Eight {
  __nv_bfloat16 of[8];
};

template <Layout kLayout>
__global__ void unpack_tiles_kernel(Eight* to, const uint8_t* from, int64_t begin, int64_t count,
                                    int64_t inputs) {
  constexpr ChunkFormat kFormat = chunk_format(kLayout);
  launch_dependents();
  wait_for_earlier_kernels();  // they may still read what was here
  const int64_t i = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x;
  if (i >= count * (inputs / 8)) return;
  const int64_t column = i % (inputs / 8) * 8;
  const GroupPlace place = place_of(kFormat, begin + i / (inputs / 8), column, inputs);
  const uint8_t* chunk = from + place.chunk;
  const auto word = [&](int at) {
    const int byte = weight_place(kLayout, place.row, place.column + at).byte;
    return *reinterpret_cast<const uint32_t*>(chunk + byte);
  };
  uint32_t words[2] = {word(0), 0};
  if (kFormat.weight_bytes == 1024) {
    words[1] = words[0] >> 4 & 0x0f0f0f0fu;
    words[0] &= 0x0f0f0f0fu;
  } else {
    words[1] = word(4);
  }
  const int index = place.column * kFormat.scales_per_row / kChunkColumns;
  const float scale = __half2float(
      *reinterpret_cast<const __half*>(chunk + scale_place(kFormat, place.row, index)));
  float min = 0;
  if (kFormat.has_mins) {
    min = __half2float(
        *reinterpret_cast<const __half*>(chunk + min_place(kFormat, place.row, index)));
  }
  Eight eight;
  for (int j = 0; j < 8; ++j) {
    int q = static_cast<int8_t>(words[j / 4] >> (j % 4 * 8));
    if (kLayout == Layout::kInt4) q -= 8;
    eight.of[j] = __float2bfloat16_rn(__fadd_rn(__fmul_rn(scale, static_cast<float>(q)), min));
  }
  to[i] = eight;
}

// Elements of kF32 and kF8.
__global__ void unpack_rows_kernel(__nv_bfloat16* to, Matrix w, int64_t begin, int64_t count) {
  launch_dependents();
  wait_for_earlier_kernels();
  const int64_t i = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x;
  if (i >= count * w.inputs) return;
  const int64_t row = begin + i / w.inputs;
  const int64_t column = i % w.inputs;
  const int64_t at = row * w.inputs + column;
  if (w.layout == Layout::kF32) {
    to[i] = __float2bfloat16_rn(static_cast<const float*>(w.data)[at]);
    return;
  }
  const uint32_t bits = static_cast<const uint8_t*>(w.data)[at];
  float scale = 1;
  if (w.scales != nullptr) {
    if (w.span == ScaleSpan::kMatrix)
      scale = w.scales[0];
    else if (w.span == ScaleSpan::kRow)
      scale = w.scales[row];
    else
      scale = w.scales[row / 128 * ((w.inputs + 127) / 128) + column / 128];
  }
  const float value = __uint_as_float((bits & 0x7fu) << 20) * 0x1p120f;
  to[i] = __float2bfloat16_rn((bits & 0x80u ? -value : value) * scale);
}

template <Layout kLayout>
void unpack_tiles(Stream stream, void* to, const Matrix& w, int64_t begin, int64_t count) {
  launch(stream, unpack_tiles_kernel<kLayout>, blocks_for(count * (w.inputs / 8)), dim3(kThreads),
         0, static_cast<Eight*>(to), static_cast<const uint8_t*>(w.data), begin, count, w.inputs);
}

}  // namespace

Layout layout_of(DType dtype, int64_t outputs, int64_t inputs) {
  if (dtype == DType::kF32) return Layout::kF32;
  if (dtype == DType::kF8E4M3) return Layout::kF8;
  if (outputs % kTileRows != 0 || inputs % (2 * kChunkColumns) != 0) return Layout::kBF16;
  switch (dtype) {
    case DType::kQ4_0:
      return Layout::kInt4;
    case DType::kQ4_1:
    case DType::kQ4_K:
      return Layout::kInt4Min;
    case DType::kQ8_0:
    case DType::kQ5_0:
    case DType::kIQ4_NL:
      return Layout::kInt8;
    case DType::kQ6_K:
    case DType::kQ3_K:
      return Layout::kInt8Half;
    default:
      return Layout::kBF16;
  }
}

int64_t matrix_bytes(Layout layout, int64_t outputs, int64_t inputs) {
  switch (layout) {
    case Layout::kF32:
      return outputs * inputs * 4;
    case Layout::kBF16:
      return outputs * inputs * 2;
    case Layout::kF8:
      return outputs * inputs;
    default:
      break;
  }
  return outputs / kTileRows * (inputs / kChunkColumns) * chunk_format(layout).bytes();
}

void pack(Stream stream, void* data, Layout layout, const void* source, DType dtype,
          int64_t outputs, int64_t inputs) {
  if (layout == Layout::kF32 || layout == Layout::kF8) {
    CHECK(layout_of(dtype, outputs, inputs) == layout);
    return copy(stream, data, source, matrix_bytes(layout, outputs, inputs));
  }
  if (layout == Layout::kBF16) {
    return pack_any_bf16(stream, data, source, dtype, outputs * inputs);
  }
  CHECK(layout_of(dtype, outputs, inputs) == layout);
  pack_any_tiles(stream, data, source, dtype, outputs, inputs);
}

void unpack_bf16(Stream stream, void* to, const Matrix& w, int64_t begin, int64_t count) {
  CHECK(begin >= 0 && count > 0 && count <= w.outputs - begin);
  switch (w.layout) {
    case Layout::kInt4:
      return unpack_tiles<Layout::kInt4>(stream, to, w, begin, count);
    case Layout::kInt4Min:
      return unpack_tiles<Layout::kInt4Min>(stream, to, w, begin, count);
    case Layout::kInt8:
      return unpack_tiles<Layout::kInt8>(stream, to, w, begin, count);
    case Layout::kInt8Half:
      return unpack_tiles<Layout::kInt8Half>(stream, to, w, begin, count);
    case Layout::kBF16:
      return copy(stream, to, static_cast<const uint8_t*>(w.data) + begin * w.inputs * 2,
                  count * w.inputs * 2);
    default:
      break;
  }
  launch(stream, unpack_rows_kernel, blocks_for(count * w.inputs), dim3(kThreads), 0,
         static_cast<__nv_bfloat16*>(to), w, begin, count);
}

}  // namespace hachi::ops::cuda
