#include "kernels/unpack.h"

#include <cstring>

#include "core/check.h"
#include "kernels/unpack_block.h"

namespace hachi::ops {
namespace {

template <class Block>
void unpack_blocks(const std::byte* data, int64_t n, int elements, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += elements, data += sizeof(Block)) {
    Block block;
    std::memcpy(&block, data, sizeof block);
    unpack_block(block, row.q + i, row.scales + i / kGroup, row.mins + i / kGroup);
  }
}

}  // namespace

bool has_mins(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ2_K:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return true;
    default:
      return false;
  }
}

void unpack(DType dtype, const std::byte* data, int64_t n, const UnpackedRow& row) {
  CHECK_EQ(n % traits(dtype).block_size, 0);
  switch (dtype) {
    case DType::kQ4_0:
      return unpack_blocks<BlockQ4_0>(data, n, 32, row);
    case DType::kQ4_1:
      return unpack_blocks<BlockQ4_1>(data, n, 32, row);
    case DType::kQ5_0:
      return unpack_blocks<BlockQ5_0>(data, n, 32, row);
    case DType::kQ5_1:
      return unpack_blocks<BlockQ5_1>(data, n, 32, row);
    case DType::kQ8_0:
      return unpack_blocks<BlockQ8_0>(data, n, 32, row);
    case DType::kQ2_K:
      return unpack_blocks<BlockQ2_K>(data, n, 256, row);
    case DType::kQ3_K:
      return unpack_blocks<BlockQ3_K>(data, n, 256, row);
    case DType::kQ4_K:
      return unpack_blocks<BlockQ4_K>(data, n, 256, row);
    case DType::kQ5_K:
      return unpack_blocks<BlockQ5_K>(data, n, 256, row);
    case DType::kQ6_K:
      return unpack_blocks<BlockQ6_K>(data, n, 256, row);
    case DType::kIQ4_NL:
      return unpack_blocks<BlockIQ4_NL>(data, n, 32, row);
    case DType::kIQ4_XS:
      return unpack_blocks<BlockIQ4_XS>(data, n, 256, row);
    case DType::kIQ3_S:
      return unpack_blocks<BlockIQ3_S>(data, n, 256, row);
    case DType::kIQ3_XXS:
      return unpack_blocks<BlockIQ3_XXS>(data, n, 256, row);
    case DType::kIQ2_S:
      return unpack_blocks<BlockIQ2_S>(data, n, 256, row);
    case DType::kIQ2_XS:
      return unpack_blocks<BlockIQ2_XS>(data, n, 256, row);
    case DType::kIQ2_XXS:
      return unpack_blocks<BlockIQ2_XXS>(data, n, 256, row);
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF8E4M3:
    case DType::kI32:
      break;
  }
  CHECK(false && "unpack: no block type");
}

}  // namespace hachi::ops
