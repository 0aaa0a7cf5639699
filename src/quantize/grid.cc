#include "quantize/grid.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "core/check.h"
#include "quantize/encode.h"
#include "quantize/pack.h"

namespace hachi::quantize {
namespace {

struct Range {
  int low, high;
};

// Of q as unpack() gives it; the IQ4 types have a table instead.
Range range_of(DType type) {
  switch (type) {
    case DType::kQ4_0:
      return {-8, 7};
    case DType::kQ5_0:
      return {-16, 15};
    case DType::kQ8_0:
      return {-127, 127};
    case DType::kQ2_K:
      return {0, 3};
    case DType::kQ3_K:
      return {-4, 3};
    case DType::kQ4_1:
    case DType::kQ4_K:
      return {0, 15};
    case DType::kQ5_1:
    case DType::kQ5_K:
      return {0, 31};
    case DType::kQ6_K:
      return {-32, 31};
    default:
      return {0, 0};
  }
}

bool is_iq4(DType type) { return type == DType::kIQ4_NL || type == DType::kIQ4_XS; }

int iq4_index(int8_t value) {
  return static_cast<int>(std::find(std::begin(ops::kIQ4Values), std::end(ops::kIQ4Values), value) -
                          std::begin(ops::kIQ4Values));
}

template <class Block>
void pack_into(std::byte* bytes, const uint8_t* q) {
  Block block;
  std::memcpy(&block, bytes, sizeof block);
  pack(q, &block);
  std::memcpy(bytes, &block, sizeof block);
}

}  // namespace

bool has_grid(DType type) { return is_iq4(type) || range_of(type).high > range_of(type).low; }

BlockGrid::BlockGrid(DType type, const std::byte* block) : type_(type) {
  CHECK(has_grid(type));
  ops::unpack(type, block, traits(type).block_size, {q_, scales_, mins_});
}

float BlockGrid::choose(int64_t i, float x) {
  const float scale = scales_[i / ops::kGroup];
  const float min = mins_[i / ops::kGroup];
  if (scale != 0) {
    const float wanted = (x - min) / scale;
    if (is_iq4(type_)) {
      q_[i] = ops::kIQ4Values[nearest_level(kIQ4Levels, wanted)];
    } else {
      const Range range = range_of(type_);
      const float clamped =
          std::clamp(wanted, static_cast<float>(range.low), static_cast<float>(range.high));
      q_[i] = static_cast<int8_t>(std::nearbyint(clamped));
    }
  }
  return scale * static_cast<float>(q_[i]) + min;
}

void BlockGrid::store(std::byte* block) const {
  const int lowest = range_of(type_).low;
  const int64_t count = traits(type_).block_size;
  uint8_t q[kMaxBlock];
  for (int64_t i = 0; i < count; ++i) {
    q[i] = static_cast<uint8_t>(is_iq4(type_) ? iq4_index(q_[i]) : q_[i] - lowest);
  }
  switch (type_) {
    case DType::kQ4_0:
      return pack_into<ops::BlockQ4_0>(block, q);
    case DType::kQ4_1:
      return pack_into<ops::BlockQ4_1>(block, q);
    case DType::kQ5_0:
      return pack_into<ops::BlockQ5_0>(block, q);
    case DType::kQ5_1:
      return pack_into<ops::BlockQ5_1>(block, q);
    case DType::kQ2_K:
      return pack_into<ops::BlockQ2_K>(block, q);
    case DType::kQ3_K:
      return pack_into<ops::BlockQ3_K>(block, q);
    case DType::kQ4_K:
      return pack_into<ops::BlockQ4_K>(block, q);
    case DType::kQ5_K:
      return pack_into<ops::BlockQ5_K>(block, q);
    case DType::kQ6_K:
      return pack_into<ops::BlockQ6_K>(block, q);
    case DType::kIQ4_NL:
      return pack_into<ops::BlockIQ4_NL>(block, q);
    case DType::kIQ4_XS:
      return pack_into<ops::BlockIQ4_XS>(block, q);
    default:
      CHECK(type_ == DType::kQ8_0);
      std::memcpy(block + offsetof(ops::BlockQ8_0, q), q_, sizeof(ops::BlockQ8_0::q));
  }
}

}  // namespace hachi::quantize
