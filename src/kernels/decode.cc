#include "kernels/decode.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "kernels/half.h"
#include "kernels/unpack.h"

namespace hachi::ops {
namespace {

template <class T>
T load(const std::byte* data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

void decode_blocks(DType dtype, const std::byte* data, int64_t n, float* y) {
  constexpr int64_t kRun = 256;  // a multiple of every block size
  int8_t q[kRun];
  float scales[kRun / kGroup];
  float mins[kRun / kGroup];
  const bool shifted = has_mins(dtype);
  for (int64_t first = 0; first < n; first += kRun) {
    const int64_t count = std::min(kRun, n - first);
    unpack(dtype, data + row_bytes(dtype, first), count, {q, scales, mins});
    for (int64_t i = 0; i < count; ++i) {
      const float product = scales[i / kGroup] * static_cast<float>(q[i]);
      y[first + i] = shifted ? product + mins[i / kGroup] : product;
    }
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
    default:
      return decode_blocks(dtype, data, n, y);  // checks that it is a block type
  }
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
