// The block types as panels, written once for all instruction sets: how a vector of one word of
// each row becomes weights. Only the panel_*.cc files of an instruction set include this.
//
// V, the instruction set, gives vectors of V::kRows words (see panel_dot_avx512.cc). A type of 32
// elements gives for each block the eight words of its elements, scale and min; a type of 256 gives
// the same for each eighth of it ("part"), with integer scales for its groups of 16 or 32.
// blocks.h says what lies where in a block.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/cpu/panel_input.h"

// All in a namespace without a name: nothing here may be shared with files of another set.
namespace hachi::ops::cpu {
namespace {

// How many bytes ahead of a block its panel is fetched: into the first-level cache, and, if `far`
// is not 0, before that into the second. Found by trying.
struct Fetch {
  int64_t near, far;
};
template <class Block>
constexpr Fetch kFetch = {4608, 0};
template <>
inline constexpr Fetch kFetch<BlockQ6_K> = {4096, 12288};
template <>
inline constexpr Fetch kFetch<BlockQ3_K> = {10240, 0};
template <>
inline constexpr Fetch kFetch<BlockQ2_K> = {10240, 0};

// The blocks of sixteen rows, seen from the first row of a vector on. A field is named by the bytes
// that a row has before it, in the panel's order.
template <class V, class Block>
class Blocks {
 public:
  Blocks(const std::byte* panel, int first_row)
      : words_(panel + first_row * 4), halves_(panel + first_row * 2) {}

  // Asks for what part kPart of kParts of block b needs, as far ahead as kFetch says.
  template <int kPart, int kParts>
  void prefetch(int64_t b) const {
    constexpr Fetch kAhead = kFetch<Block>;
    constexpr int64_t kBegin = kStride * kPart / kParts / 64 * 64;
    constexpr int64_t kEnd = kStride * (kPart + 1) / kParts / 64 * 64;
    for (int64_t i = kBegin; i < kEnd; i += 64) {
      const std::byte* line = words_ + b * kStride + i;
      __builtin_prefetch(line + kAhead.near);
      if constexpr (kAhead.far != 0) __builtin_prefetch(line + kAhead.far, 0, 2);
    }
  }

  // Asks for part kPart of kParts of what lies so many bytes behind block b.
  template <int kPart, int kParts>
  void prefetch_at(int64_t b, int64_t bytes) const {
    constexpr int64_t kBegin = kStride * kPart / kParts / 64 * 64;
    constexpr int64_t kEnd = kStride * (kPart + 1) / kParts / 64 * 64;
    for (int64_t i = kBegin; i < kEnd; i += 64) {
      __builtin_prefetch(words_ + b * kStride + i + bytes);
    }
  }

 protected:
  // Word i of a field of whole words of block b.
  typename V::Int word_at(int64_t b, int field, int i) const {
    return V::load(words_ + b * kStride + 16 * field + 64 * i);
  }
  // A field of two bytes.
  typename V::Float floats_at(int64_t b, int field) const {
    return V::load_halves(halves_ + b * kStride + 16 * field);
  }
  typename V::Int integers_at(int64_t b, int field) const {
    return V::load_u16(halves_ + b * kStride + 16 * field);
  }

 private:
  static constexpr int64_t kStride = 16 * sizeof(Block);
  const std::byte* words_;
  const std::byte* halves_;
};

// Bits [kShift, kShift + kBits) of each byte.
template <class V, int kShift, int kBits>
typename V::Int bits(typename V::Int v) {
  if constexpr (kShift == 0) {
    return V::and_bytes(v, (1 << kBits) - 1);
  } else {
    return V::and_bytes(V::template shift_right<kShift>(v), (1 << kBits) - 1);
  }
}

// By so many bits to the left, or to the right if negative.
template <class V, int kBits>
typename V::Int shift(typename V::Int v) {
  if constexpr (kBits >= 0) {
    return V::template shift_left<kBits>(v);
  } else {
    return V::template shift_right<-kBits>(v);
  }
}

// Bit i of each word, of the lowest four, as 16 in byte i: bit i times the power 4 + 7j lands at
// 8i + 4 for j = i, and nowhere in the mask else.
template <class V>
typename V::Int spread_four_bits(typename V::Int four) {
  return V::and_bytes(V::multiply(four, 0x02040810), 0x10);
}

// ---- Types of 32 elements.

// Word kWord of 32 elements of half a byte: 0..3 are the low, 4..7 the high halves of four words.
template <class V, int kWord>
typename V::Int half_bytes(typename V::Int four) {
  return bits < V, kWord < 4 ? 0 : 4, 4 > (four);
}

template <class V>
struct PanelQ4_0 : Blocks<V, BlockQ4_0> {
  static constexpr DType kType = DType::kQ4_0;
  static constexpr int kMax = 15;
  using Blocks<V, BlockQ4_0>::Blocks;
  template <int kWord>
  typename V::Int word(int64_t b) const {
    return half_bytes<V, kWord>(this->word_at(b, 0, kWord % 4));
  }
  typename V::Float scale(int64_t b) const { return this->floats_at(b, 16); }
};

template <class V>
struct PanelQ4_1 : Blocks<V, BlockQ4_1> {
  static constexpr DType kType = DType::kQ4_1;
  static constexpr int kMax = 15;
  using Blocks<V, BlockQ4_1>::Blocks;
  template <int kWord>
  typename V::Int word(int64_t b) const {
    return half_bytes<V, kWord>(this->word_at(b, 0, kWord % 4));
  }
  typename V::Float scale(int64_t b) const { return this->floats_at(b, 16); }
  typename V::Float min(int64_t b) const { return this->floats_at(b, 18); }
};

// Adds bit 4 of the elements of word kWord: bits 4 * kWord.. of `high`.
template <class V, int kWord>
typename V::Int with_fifth_bit(typename V::Int low, typename V::Int high) {
  const auto four = V::and_words(V::template shift_right<4 * kWord>(high), 0xf);
  return V::or_(low, spread_four_bits<V>(four));
}

template <class V>
struct PanelQ5_0 : Blocks<V, BlockQ5_0> {
  static constexpr DType kType = DType::kQ5_0;
  static constexpr int kMax = 31;
  using Blocks<V, BlockQ5_0>::Blocks;
  template <int kWord>
  typename V::Int word(int64_t b) const {
    return with_fifth_bit<V, kWord>(half_bytes<V, kWord>(this->word_at(b, 0, kWord % 4)),
                                    this->word_at(b, 16, 0));
  }
  typename V::Float scale(int64_t b) const { return this->floats_at(b, 20); }
};

template <class V>
struct PanelQ5_1 : Blocks<V, BlockQ5_1> {
  static constexpr DType kType = DType::kQ5_1;
  static constexpr int kMax = 31;
  using Blocks<V, BlockQ5_1>::Blocks;
  template <int kWord>
  typename V::Int word(int64_t b) const {
    return with_fifth_bit<V, kWord>(half_bytes<V, kWord>(this->word_at(b, 0, kWord % 4)),
                                    this->word_at(b, 16, 0));
  }
  typename V::Float scale(int64_t b) const { return this->floats_at(b, 20); }
  typename V::Float min(int64_t b) const { return this->floats_at(b, 22); }
};

template <class V>
struct PanelQ8_0 : Blocks<V, BlockQ8_0> {
  static constexpr DType kType = DType::kQ8_0;
  static constexpr int kMax = 255;
  using Blocks<V, BlockQ8_0>::Blocks;
  template <int kWord>
  typename V::Int word(int64_t b) const {
    return V::from_signed(this->word_at(b, 0, kWord));
  }
  typename V::Float scale(int64_t b) const { return this->floats_at(b, 32); }
};

// The sixteen levels of IQ4_NL and IQ4_XS, plus the offset of the instruction set.
struct Levels {
  uint8_t of[16];
};
template <class V>
constexpr Levels kLevels = [] {
  Levels levels{};
  for (int i = 0; i < 16; ++i) {
    levels.of[i] = static_cast<uint8_t>(kIQ4Values[i] + (V::kSigned ? 0 : 128));
  }
  return levels;
}();

template <class V>
struct PanelIQ4_NL : Blocks<V, BlockIQ4_NL> {
  static constexpr DType kType = DType::kIQ4_NL;
  static constexpr int kMax = 255;
  using Blocks<V, BlockIQ4_NL>::Blocks;
  template <int kWord>
  typename V::Int word(int64_t b) const {
    const auto index = half_bytes<V, kWord>(this->word_at(b, 0, kWord % 4));
    return V::look_up(kLevels<V>.of, index);
  }
  typename V::Float scale(int64_t b) const { return this->floats_at(b, 16); }
};

// ---- Types of 256 elements. word<kPart, kWord>: four elements of each row from 32 * kPart +
// 4 * kWord on. scales(): one integer a group. mins(): pairs as in panel_input.h.

// Byte i of each word as an integer, in out[i].
template <class V>
void store_bytes(typename V::Int bytes, typename V::Int* out) {
  out[0] = V::and_words(bytes, 0xff);
  out[1] = V::and_words(V::template shift_right<8>(bytes), 0xff);
  out[2] = V::and_words(V::template shift_right<16>(bytes), 0xff);
  out[3] = V::template shift_right<24>(bytes);
}

// Bytes 0 and 2, then 1 and 3, of each word as two 16-bit integers.
template <class V>
void store_pairs(typename V::Int bytes, typename V::Int* out) {
  out[0] = V::and_words(bytes, 0x00ff00ff);
  out[1] = V::and_words(V::template shift_right<8>(bytes), 0x00ff00ff);
}

// Q4_K and Q5_K: six-bit scales and mins, four bytes of each in a word, from the three words of the
// field; see BlockQ4_K.
template <class V, class Block>
struct WithMins : Blocks<V, Block> {
  using Blocks<V, Block>::Blocks;

 protected:
  void six_bit_scales(int64_t b, int field, typename V::Int* out) const {
    const auto u0 = this->word_at(b, field, 0), u2 = this->word_at(b, field, 2);
    store_bytes<V>(bits<V, 0, 6>(u0), out);
    store_bytes<V>(V::or_(bits<V, 0, 4>(u2), top(u0)), out + 4);
  }
  void six_bit_mins(int64_t b, int field, typename V::Int* out) const {
    const auto u1 = this->word_at(b, field, 1), u2 = this->word_at(b, field, 2);
    store_pairs<V>(bits<V, 0, 6>(u1), out);
    store_pairs<V>(V::or_(bits<V, 4, 4>(u2), top(u1)), out + 2);
  }

 private:
  static typename V::Int top(typename V::Int v) {
    return V::template shift_left<4>(bits<V, 6, 2>(v));
  }
};

template <class V>
struct PanelQ4_K : WithMins<V, BlockQ4_K> {
  static constexpr DType kType = DType::kQ4_K;
  static constexpr int kMax = 15;
  using WithMins<V, BlockQ4_K>::WithMins;
  template <int kPart, int kWord>
  typename V::Int word(int64_t b) const {
    return bits<V, kPart % 2 * 4, 4>(this->word_at(b, 12, kPart / 2 * 8 + kWord));
  }
  void scales(int64_t b, typename V::Int* out) const { this->six_bit_scales(b, 0, out); }
  void mins(int64_t b, typename V::Int* out) const { this->six_bit_mins(b, 0, out); }
  typename V::Float scale(int64_t b) const { return this->floats_at(b, 140); }
  typename V::Float min_scale(int64_t b) const { return this->floats_at(b, 142); }
};

template <class V>
struct PanelQ5_K : WithMins<V, BlockQ5_K> {
  static constexpr DType kType = DType::kQ5_K;
  static constexpr int kMax = 31;
  using WithMins<V, BlockQ5_K>::WithMins;
  template <int kPart, int kWord>
  typename V::Int word(int64_t b) const {
    const auto low =
        V::template shift_right<kPart % 2 * 4>(this->word_at(b, 44, kPart / 2 * 8 + kWord));
    const auto fifth = shift<V, 4 - kPart>(this->word_at(b, 12, kWord));
    return V::and_or(low, 0x0f, V::and_bytes(fifth, 0x10));
  }
  void scales(int64_t b, typename V::Int* out) const { this->six_bit_scales(b, 0, out); }
  void mins(int64_t b, typename V::Int* out) const { this->six_bit_mins(b, 0, out); }
  typename V::Float scale(int64_t b) const { return this->floats_at(b, 172); }
  typename V::Float min_scale(int64_t b) const { return this->floats_at(b, 174); }
};

template <class V>
struct PanelQ6_K : Blocks<V, BlockQ6_K> {
  static constexpr DType kType = DType::kQ6_K;
  static constexpr int kMax = 63;
  using Blocks<V, BlockQ6_K>::Blocks;
  template <int kPart, int kWord>
  typename V::Int word(int64_t b) const {
    constexpr int kHalf = kPart / 4, kQuarter = kPart % 4;
    constexpr int kShift = kQuarter < 2 ? 0 : 4;
    const auto four = this->word_at(b, 80, 16 * kHalf + 8 * (kQuarter % 2) + kWord);
    const auto top = shift<V, 4 - 2 * kQuarter>(this->word_at(b, 16, 8 * kHalf + kWord));
    return V::and_or(V::template shift_right<kShift>(four), 0x0f, V::and_bytes(top, 0x30));
  }
  void scales(int64_t b, typename V::Int* out) const {
    for (int i = 0; i < 4; ++i, out += 4) {
      const auto four = this->word_at(b, 0, i);
      out[0] = V::template shift_right_signed<24>(V::template shift_left<24>(four));
      out[1] = V::template shift_right_signed<24>(V::template shift_left<16>(four));
      out[2] = V::template shift_right_signed<24>(V::template shift_left<8>(four));
      out[3] = V::template shift_right_signed<24>(four);
    }
  }
  typename V::Float scale(int64_t b) const { return this->floats_at(b, 208); }
};

template <class V>
struct PanelQ2_K : Blocks<V, BlockQ2_K> {
  static constexpr DType kType = DType::kQ2_K;
  static constexpr int kMax = 3;
  using Blocks<V, BlockQ2_K>::Blocks;
  template <int kPart, int kWord>
  typename V::Int word(int64_t b) const {
    return bits<V, 2 * (kPart % 4), 2>(this->word_at(b, 16, kPart / 4 * 8 + kWord));
  }
  void scales(int64_t b, typename V::Int* out) const {
    for (int i = 0; i < 4; ++i) store_bytes<V>(bits<V, 0, 4>(this->word_at(b, 0, i)), out + 4 * i);
  }
  void mins(int64_t b, typename V::Int* out) const {
    for (int i = 0; i < 4; ++i) store_pairs<V>(bits<V, 4, 4>(this->word_at(b, 0, i)), out + 2 * i);
  }
  typename V::Float scale(int64_t b) const { return this->floats_at(b, 80); }
  typename V::Float min_scale(int64_t b) const { return this->floats_at(b, 82); }
};

template <class V>
struct PanelQ3_K : Blocks<V, BlockQ3_K> {
  static constexpr DType kType = DType::kQ3_K;
  static constexpr int kMax = 7;
  using Blocks<V, BlockQ3_K>::Blocks;
  template <int kPart, int kWord>
  typename V::Int word(int64_t b) const {
    const auto low =
        V::template shift_right<2 * (kPart % 4)>(this->word_at(b, 44, kPart / 4 * 8 + kWord));
    const auto third = shift<V, 2 - kPart>(this->word_at(b, 12, kWord));
    return V::and_or(low, 0x03, V::and_bytes(third, 0x04));
  }
  void scales(int64_t b, typename V::Int* out) const {
    const auto u0 = this->word_at(b, 0, 0), u1 = this->word_at(b, 0, 1);
    const auto u2 = this->word_at(b, 0, 2);
    store_scales(bits<V, 0, 4>(u0), bits<V, 0, 2>(u2), out);
    store_scales(bits<V, 0, 4>(u1), bits<V, 2, 2>(u2), out + 4);
    store_scales(bits<V, 4, 4>(u0), bits<V, 4, 2>(u2), out + 8);
    store_scales(bits<V, 4, 4>(u1), bits<V, 6, 2>(u2), out + 12);
  }
  typename V::Float scale(int64_t b) const { return this->floats_at(b, 108); }

 private:
  static void store_scales(typename V::Int low, typename V::Int top, typename V::Int* out) {
    store_bytes<V>(V::or_(low, V::template shift_left<4>(top)), out);
    for (int i = 0; i < 4; ++i) out[i] = V::subtract(out[i], 32);
  }
};

template <class V>
struct PanelIQ4_XS : Blocks<V, BlockIQ4_XS> {
  static constexpr DType kType = DType::kIQ4_XS;
  static constexpr int kMax = 255;
  using Blocks<V, BlockIQ4_XS>::Blocks;
  template <int kPart, int kWord>
  typename V::Int word(int64_t b) const {
    const auto index = half_bytes<V, kWord>(this->word_at(b, 8, 4 * kPart + kWord % 4));
    return V::look_up(kLevels<V>.of, index);
  }
  void scales(int64_t b, typename V::Int* out) const {
    auto low = this->word_at(b, 0, 0), high = this->integers_at(b, 4);
    for (int s = 0; s < 8; ++s) {
      const auto top = V::template shift_left<4>(V::and_words(high, 3));
      out[s] = V::subtract(V::or_(V::and_words(low, 15), top), 32);
      low = V::template shift_right<4>(low);
      high = V::template shift_right<2>(high);
    }
  }
  typename V::Float scale(int64_t b) const { return this->floats_at(b, 6); }
};

// Calls visitor.visit<T>() with the class of a block type that has panels.
template <class Visitor>
void visit_block_type(DType dtype, const Visitor& visitor) {
  switch (dtype) {
    case DType::kQ4_0:
      return visitor.template visit<PanelQ4_0>();
    case DType::kQ4_1:
      return visitor.template visit<PanelQ4_1>();
    case DType::kQ5_0:
      return visitor.template visit<PanelQ5_0>();
    case DType::kQ5_1:
      return visitor.template visit<PanelQ5_1>();
    case DType::kQ8_0:
      return visitor.template visit<PanelQ8_0>();
    case DType::kIQ4_NL:
      return visitor.template visit<PanelIQ4_NL>();
    case DType::kQ2_K:
      return visitor.template visit<PanelQ2_K>();
    case DType::kQ3_K:
      return visitor.template visit<PanelQ3_K>();
    case DType::kQ4_K:
      return visitor.template visit<PanelQ4_K>();
    case DType::kQ5_K:
      return visitor.template visit<PanelQ5_K>();
    case DType::kQ6_K:
      return visitor.template visit<PanelQ6_K>();
    case DType::kIQ4_XS:
      return visitor.template visit<PanelIQ4_XS>();
    default:
      return;
  }
}

}  // namespace
}  // namespace hachi::ops::cpu
