#include "quantize/grid.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "kernels/blocks.h"

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

// The place in the table of the value nearest to x.
int nearest_iq4(float x) {
  const auto* begin = std::begin(ops::kIQ4Values);
  const auto* above = std::lower_bound(begin, std::end(ops::kIQ4Values), x,
                                       [](int8_t a, float b) { return static_cast<float>(a) < b; });
  if (above == begin) return 0;
  if (above == std::end(ops::kIQ4Values)) return 15;
  const float up = static_cast<float>(*above) - x;
  const float down = x - static_cast<float>(*(above - 1));
  return static_cast<int>(above - begin) - (down <= up ? 1 : 0);
}

int iq4_index(int8_t value) {
  return static_cast<int>(std::find(std::begin(ops::kIQ4Values), std::end(ops::kIQ4Values), value) -
                          std::begin(ops::kIQ4Values));
}

// The layouts of blocks.h, backwards. `u(i)` is element i as the bits that are stored.

template <class U>
void pack_halves(uint8_t* out, int64_t count, const U& u) {
  for (int64_t j = 0; j < count; ++j) {
    out[j] = static_cast<uint8_t>((u(j) & 15) | (u(j + count) & 15) << 4);
  }
}

template <class U>
void pack_fifth_bits(uint8_t* out, const U& u) {
  std::memset(out, 0, 4);
  for (int64_t j = 0; j < 32; ++j) {
    out[j / 8] = static_cast<uint8_t>(out[j / 8] | (u(j) >> 4 & 1) << (j % 8));
  }
}

// 64 elements at a time: 32 in the low four bits, 32 in the high.
template <class U>
void pack_64s(uint8_t* out, const U& u) {
  for (int64_t s = 0; s < 4; ++s) {
    pack_halves(out + 32 * s, 32, [&](int64_t j) { return u(64 * s + j); });
  }
}

template <class U>
void pack_low_pairs(uint8_t* out, const U& u) {
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t l = 0; l < 32; ++l) {
      int byte = 0;
      for (int64_t j = 0; j < 4; ++j) byte |= (u(128 * h + 32 * j + l) & 3) << (2 * j);
      out[32 * h + l] = static_cast<uint8_t>(byte);
    }
  }
}

template <class U>
void pack_q6(ops::BlockQ6_K& block, const U& u) {
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t l = 0; l < 32; ++l) {
      int high = 0;
      for (int64_t j = 0; j < 4; ++j) high |= (u(128 * h + 32 * j + l) >> 4 & 3) << (2 * j);
      block.high[32 * h + l] = static_cast<uint8_t>(high);
      for (int64_t j = 0; j < 2; ++j) {
        const int low = u(128 * h + 32 * j + l) & 15;
        const int up = u(128 * h + 32 * (j + 2) + l) & 15;
        block.q[64 * h + 32 * j + l] = static_cast<uint8_t>(low | up << 4);
      }
    }
  }
}

// Bit `bit` of element 32s + l at bit s of out[l].
template <class U>
void pack_bit_planes(uint8_t* out, int bit, const U& u) {
  for (int64_t l = 0; l < 32; ++l) {
    int byte = 0;
    for (int64_t s = 0; s < 8; ++s) byte |= (u(32 * s + l) >> bit & 1) << s;
    out[l] = static_cast<uint8_t>(byte);
  }
}

template <class Block, class Pack>
void change(std::byte* bytes, const Pack& pack) {
  Block block;
  std::memcpy(&block, bytes, sizeof block);
  pack(block);
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
      q_[i] = ops::kIQ4Values[nearest_iq4(wanted)];
    } else {
      const Range range = range_of(type_);
      const float clamped =
          std::clamp(wanted, static_cast<float>(range.low), static_cast<float>(range.high));
      q_[i] = static_cast<int8_t>(std::nearbyint(clamped));
    }
  }
  return scale * static_cast<float>(q_[i]) + min;
}

void BlockGrid::store(std::byte* bytes) const {
  const int offset = -range_of(type_).low;
  const auto u = [&](int64_t i) { return q_[i] + offset; };
  const auto index = [&](int64_t i) { return iq4_index(q_[i]); };
  switch (type_) {
    case DType::kQ4_0:
      return change<ops::BlockQ4_0>(bytes, [&](auto& block) { pack_halves(block.q, 16, u); });
    case DType::kQ4_1:
      return change<ops::BlockQ4_1>(bytes, [&](auto& block) { pack_halves(block.q, 16, u); });
    case DType::kIQ4_NL:
      return change<ops::BlockIQ4_NL>(bytes, [&](auto& block) { pack_halves(block.q, 16, index); });
    case DType::kQ5_0:
      return change<ops::BlockQ5_0>(bytes, [&](auto& block) {
        pack_halves(block.q, 16, u);
        pack_fifth_bits(block.high, u);
      });
    case DType::kQ5_1:
      return change<ops::BlockQ5_1>(bytes, [&](auto& block) {
        pack_halves(block.q, 16, u);
        pack_fifth_bits(block.high, u);
      });
    case DType::kQ8_0:
      return change<ops::BlockQ8_0>(bytes, [&](auto& block) { std::copy_n(q_, 32, block.q); });
    case DType::kQ2_K:
      return change<ops::BlockQ2_K>(bytes, [&](auto& block) { pack_low_pairs(block.q, u); });
    case DType::kQ3_K:
      return change<ops::BlockQ3_K>(bytes, [&](auto& block) {
        pack_low_pairs(block.q, u);
        pack_bit_planes(block.high, 2, u);
      });
    case DType::kQ4_K:
      return change<ops::BlockQ4_K>(bytes, [&](auto& block) { pack_64s(block.q, u); });
    case DType::kQ5_K:
      return change<ops::BlockQ5_K>(bytes, [&](auto& block) {
        pack_64s(block.q, u);
        pack_bit_planes(block.high, 4, u);
      });
    case DType::kQ6_K:
      return change<ops::BlockQ6_K>(bytes, [&](auto& block) { pack_q6(block, u); });
    default:  // IQ4_XS: runs of 32, each as IQ4_NL
      return change<ops::BlockIQ4_XS>(bytes, [&](auto& block) {
        for (int64_t s = 0; s < 8; ++s) {
          pack_halves(block.q + 16 * s, 16, [&](int64_t j) { return index(32 * s + j); });
        }
      });
  }
}

}  // namespace hachi::quantize
