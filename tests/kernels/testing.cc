#include "kernels/testing.h"

#include "kernels/decode.h"

namespace hachi::ops {

std::vector<int64_t> scale_offsets(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
    case DType::kQ5_0:
    case DType::kQ8_0:
    case DType::kIQ4_NL:
    case DType::kIQ4_XS:
    case DType::kIQ3_S:
    case DType::kIQ3_XXS:
    case DType::kIQ2_S:
    case DType::kIQ2_XS:
    case DType::kIQ2_XXS:
      return {0};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ6_K:
      return {208};
    default:
      return {};
  }
}

RandomWeight::RandomWeight(DType dtype, int64_t rows, int64_t columns, std::mt19937& random)
    : bytes_(rows * row_bytes(dtype, columns), 1) {
  std::normal_distribution<float> normal(0.0f, 0.05f);
  const bool plain = dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
  for (int64_t i = 0; i < bytes_.size(); ++i) {
    uint32_t byte = random() & 255u;
    if (dtype == DType::kF8E4M3 && (byte & 0x7f) == 0x7f) byte ^= 1;  // no NaN
    bytes_.data()[i] = static_cast<std::byte>(byte);
  }
  for (int64_t i = 0; plain && i < rows * columns; ++i) {
    const float value = normal(random);
    encode(dtype, &value, 1, bytes_.data() + row_bytes(dtype, i));
  }
  for (int64_t block = 0; block < bytes_.size(); block += traits(dtype).block_bytes) {
    for (int64_t offset : scale_offsets(dtype)) {
      const float value = normal(random);
      encode(DType::kF16, &value, 1, bytes_.data() + block + offset);
    }
  }
  weight_.values = Tensor(bytes_.data(), dtype, {rows, columns});
}

void RandomWeight::scale_blocks(int block_rows, int block_cols, std::mt19937& random) {
  const bool whole = block_rows == 0;
  const int64_t rows = whole ? 1 : (weight_.values.size(0) + block_rows - 1) / block_rows;
  const int64_t columns = whole ? 1 : (weight_.values.size(1) + block_cols - 1) / block_cols;
  const DType type = whole ? DType::kF32 : DType::kBF16;
  scales_ = std::make_unique<Bytes>(rows * row_bytes(type, columns), 1);
  for (int64_t i = 0; i < rows * columns; ++i) {
    const float value = 0.01f + 0.01f * static_cast<float>(random() % 100);
    encode(type, &value, 1, scales_->data() + row_bytes(type, i));
  }
  weight_.scales =
      whole ? Tensor(scales_->data(), type, {1}) : Tensor(scales_->data(), type, {rows, columns});
  weight_.block_rows = block_rows;
  weight_.block_cols = block_cols;
}

}  // namespace hachi::ops
