// Maps of matrices for copies of boxes of them into shared memory (tensor_copy() of ptx.cuh), made
// on the host.
#pragma once

#include <cstdint>
#include <cuda.h>

#include "kernels/cuda/launch.cuh"

namespace hachi::ops::cuda {

// cuTensorMapEncodeTiled of the driver, with which programs need not be linked.
inline auto tensor_map_encoder() {
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    CHECK_CUDA(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                                cudaEnableDefault, &found));
    CHECK(found == cudaDriverEntryPointSuccess);
    return reinterpret_cast<Encode>(function);
  }();
  return encode;
}

// A matrix of rows of `row_bytes` each, without gaps. Boxes have `box_rows` rows and `box_bytes` of
// each, in that order. With panels, a row is cut into panels of 128 bytes, of which it has a whole
// number, and a box has `panels` of them, one behind the other, each swizzled as the matrix unit
// takes it (attention_wgmma.cuh).
struct MappedMatrix {
  const void* data;
  int64_t rows;
  int64_t row_bytes;
  int box_rows;
  int box_bytes = 128;
  int panels = 0;
};

inline CUtensorMap map_of(const MappedMatrix& matrix) {
  // In units of two bytes, whatever the elements are.
  const auto bytes = static_cast<cuuint64_t>(matrix.row_bytes);
  const auto rows = static_cast<cuuint64_t>(matrix.rows);
  const bool cut = matrix.panels > 0;
  const cuuint64_t sizes[3] = {cut ? 64 : bytes / 2, rows, bytes / 128};
  const cuuint64_t strides[2] = {bytes, 128};
  const cuuint32_t box[3] = {static_cast<cuuint32_t>(matrix.box_bytes) / 2,
                             static_cast<cuuint32_t>(matrix.box_rows),
                             static_cast<cuuint32_t>(matrix.panels)};
  const cuuint32_t steps[3] = {1, 1, 1};
  CHECK(!cut || (matrix.box_bytes == 128 && matrix.row_bytes % 128 == 0));
  CUtensorMap map;
  const CUresult result = tensor_map_encoder()(
      &map, CU_TENSOR_MAP_DATA_TYPE_UINT16, cut ? 3 : 2, const_cast<void*>(matrix.data), sizes,
      strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
      cut ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  CHECK(result == CUDA_SUCCESS);
  return map;
}

}  // namespace hachi::ops::cuda
