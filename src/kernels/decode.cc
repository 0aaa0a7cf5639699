#include "kernels/decode.h"

#include <cstring>

#include "core/check.h"
#include "kernels/decode_block.h"

namespace hachi::ops {
namespace {

template <class T>
T load(const std::byte* data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

template <class Block>
void decode_blocks(const std::byte* data, int64_t n, int elements, float* y) {
  for (int64_t i = 0; i < n / elements; ++i) {
    decode_block(load<Block>(data + i * static_cast<int64_t>(sizeof(Block))), y + i * elements);
  }
}

}  // namespace

void decode(DType dtype, const std::byte* data, int64_t n, float* y) {
  CHECK_EQ(n % traits(dtype).block_size, 0);
  switch (dtype) {
    case DType::kF32:
      std::memcpy(y, data, static_cast<size_t>(n) * 4);
      return;
    case DType::kF16:
      for (int64_t i = 0; i < n; ++i) y[i] = f16_to_f32(load<uint16_t>(data + 2 * i));
      return;
    case DType::kBF16:
      for (int64_t i = 0; i < n; ++i) y[i] = bf16_to_f32(load<uint16_t>(data + 2 * i));
      return;
    case DType::kF8E4M3:
      for (int64_t i = 0; i < n; ++i) y[i] = f8e4m3_to_f32(load<uint8_t>(data + i));
      return;
    case DType::kQ4_0:
      return decode_blocks<BlockQ4_0>(data, n, 32, y);
    case DType::kQ4_1:
      return decode_blocks<BlockQ4_1>(data, n, 32, y);
    case DType::kQ5_0:
      return decode_blocks<BlockQ5_0>(data, n, 32, y);
    case DType::kQ5_1:
      return decode_blocks<BlockQ5_1>(data, n, 32, y);
    case DType::kQ8_0:
      return decode_blocks<BlockQ8_0>(data, n, 32, y);
    case DType::kQ2_K:
      return decode_blocks<BlockQ2_K>(data, n, 256, y);
    case DType::kQ3_K:
      return decode_blocks<BlockQ3_K>(data, n, 256, y);
    case DType::kQ4_K:
      return decode_blocks<BlockQ4_K>(data, n, 256, y);
    case DType::kQ5_K:
      return decode_blocks<BlockQ5_K>(data, n, 256, y);
    case DType::kQ6_K:
      return decode_blocks<BlockQ6_K>(data, n, 256, y);
    case DType::kIQ4_NL:
      return decode_blocks<BlockIQ4_NL>(data, n, 32, y);
    case DType::kIQ4_XS:
      return decode_blocks<BlockIQ4_XS>(data, n, 256, y);
    case DType::kI32:
      break;
  }
  CHECK(false && "decode: I32 is no type of weights");
}

void encode(DType dtype, const float* x, int64_t n, std::byte* data) {
  CHECK(dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16);
  if (dtype == DType::kF32) {
    if (n > 0) std::memcpy(data, x, static_cast<size_t>(n) * 4);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t bits = dtype == DType::kF16 ? f32_to_f16(x[i]) : f32_to_bf16(x[i]);
    std::memcpy(data + 2 * i, &bits, sizeof bits);
  }
}

}  // namespace hachi::ops
