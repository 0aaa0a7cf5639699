#include "kernels/kv_page.h"

#include <cstring>

#include "kernels/decode.h"
#include "kernels/half.h"
#include "kernels/int8_row.h"

namespace hachi::ops {
namespace {

// The place of the scale of element d, in bytes from the first scale.
int64_t scale_at(int64_t d, int64_t slot) {
  return (d / kKvBlock * kPagePositions + slot) * static_cast<int64_t>(sizeof(uint16_t));
}

}  // namespace

void load_position(DType dtype, const std::byte* page, KvPart part, int64_t width, int64_t slot,
                   float* x) {
  const KvPlaces places = kv_places(part, width, slot);
  if (dtype != DType::kQ8_0) {
    const int64_t element = row_bytes(dtype, 1);
    for (int64_t d = 0; d < width; ++d) {
      decode(dtype, page + (places.first + d * places.step) * element, 1, x + d);
    }
    return;
  }
  for (int64_t d = 0; d < width; ++d) {
    uint16_t scale;
    std::memcpy(&scale, kv_scales(page, width) + scale_at(d, slot), sizeof scale);
    const auto code = static_cast<int8_t>(page[places.first + d * places.step]);
    x[d] = f16_to_f32(scale) * static_cast<float>(code);
  }
}

void store_position(DType dtype, std::byte* page, KvPart part, int64_t width, int64_t slot,
                    const float* x) {
  const KvPlaces places = kv_places(part, width, slot);
  if (dtype != DType::kQ8_0) {
    const int64_t element = row_bytes(dtype, 1);
    for (int64_t d = 0; d < width; ++d) {
      encode(dtype, x + d, 1, page + (places.first + d * places.step) * element);
    }
    return;
  }
  for (int64_t d = 0; d < width; d += kKvBlock) {
    int8_t codes[kKvBlock];
    float scale = 0;
    float sums[2];
    round_to_int8(DType::kQ8_0, x + d, kKvBlock, {codes, &scale, sums});
    for (int64_t i = 0; i < kKvBlock; ++i) {
      page[places.first + (d + i) * places.step] = static_cast<std::byte>(codes[i]);
    }
    const uint16_t bits = f32_to_f16(scale);
    std::memcpy(kv_scales(page, width) + scale_at(d, slot), &bits, sizeof bits);
  }
}

}  // namespace hachi::ops
