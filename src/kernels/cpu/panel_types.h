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

// One field of a panel, from the first row of a vector on.
template <class V, int kBytes>
struct Words {
  const std::byte* data;
  // Word i of block b.
  typename V::Int at(int64_t b, int i) const { return V::load(data + (b * (kBytes / 4) + i) * 64); }
};

// A field of two bytes.
template <class V>
struct Halves {
  const std::byte* data;
  typename V::Float floats(int64_t b) const { return V::load_halves(data + b * 32); }
  typename V::Int integers(int64_t b) const { return V::load_u16(data + b * 32); }
};

// Hands out the fields of a panel in their order.
template <class V>
class FieldCursor {
 public:
  FieldCursor(const std::byte* panel, int64_t blocks, int first_row)
      : at_(panel), blocks_(blocks), first_row_(first_row) {}
  template <int kBytes>
  Words<V, kBytes> words() {
    return {next(kBytes) + first_row_ * 4};
  }
  Halves<V> halves() { return {next(2) + first_row_ * 2}; }

 private:
  const std::byte* next(int bytes) {
    const std::byte* field = at_;
    at_ += 16 * blocks_ * bytes;
    return field;
  }
  const std::byte* at_;
  int64_t blocks_;
  int first_row_;
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

// Byte kByte of each word, as an integer.
template <class V, int kByte>
typename V::Int byte_of(typename V::Int v) {
  return V::and_words(V::template shift_right<8 * kByte>(v), 0xff);
}

// Bit i of each word, of the lowest four, as 16 in byte i: bit i times the power 4 + 7j lands at
// 8i + 4 for j = i, and nowhere in the mask else.
template <class V>
typename V::Int spread_four_bits(typename V::Int four) {
  return V::and_bytes(V::multiply(four, 0x02040810), 0x10);
}

// ---- Types of 32 elements.

// Words 0..3 of a block are the low, 4..7 the high half bytes.
template <class V, int kBytes>
struct HalfBytes {
  Words<V, kBytes> q;
  template <int kWord>
  typename V::Int word(int64_t b) const {
    return bits < V, kWord < 4 ? 0 : 4, 4 > (q.at(b, kWord % 4));
  }
};

template <class V>
struct PanelQ4_0 {
  static constexpr DType kType = DType::kQ4_0;
  static constexpr int kMax = 15;
  HalfBytes<V, 16> q;
  Halves<V> d;
  explicit PanelQ4_0(FieldCursor<V> f) : q{f.template words<16>()}, d{f.halves()} {}
  template <int kWord>
  typename V::Int word(int64_t b) const {
    return q.template word<kWord>(b);
  }
  typename V::Float scale(int64_t b) const { return d.floats(b); }
};

template <class V>
struct PanelQ4_1 : PanelQ4_0<V> {
  static constexpr DType kType = DType::kQ4_1;
  Halves<V> m;
  explicit PanelQ4_1(FieldCursor<V> f) : PanelQ4_0<V>(f), m{} {
    f.template words<16>();
    f.halves();
    m = f.halves();
  }
  typename V::Float min(int64_t b) const { return m.floats(b); }
};

template <class V>
struct PanelQ5_0 {
  static constexpr DType kType = DType::kQ5_0;
  static constexpr int kMax = 31;
  HalfBytes<V, 16> q;
  Words<V, 4> high;
  Halves<V> d;
  explicit PanelQ5_0(FieldCursor<V> f)
      : q{f.template words<16>()}, high(f.template words<4>()), d{f.halves()} {}
  template <int kWord>
  typename V::Int word(int64_t b) const {
    // Bits 4 * kWord.. of `high` belong to the four bytes of this word.
    const auto four = V::and_words(V::template shift_right<4 * kWord>(high.at(b, 0)), 0xf);
    return V::or_(q.template word<kWord>(b), spread_four_bits<V>(four));
  }
  typename V::Float scale(int64_t b) const { return d.floats(b); }
};

template <class V>
struct PanelQ5_1 : PanelQ5_0<V> {
  static constexpr DType kType = DType::kQ5_1;
  Halves<V> m;
  explicit PanelQ5_1(FieldCursor<V> f) : PanelQ5_0<V>(f), m{} {
    f.template words<16>();
    f.template words<4>();
    f.halves();
    m = f.halves();
  }
  typename V::Float min(int64_t b) const { return m.floats(b); }
};

template <class V>
struct PanelQ8_0 {
  static constexpr DType kType = DType::kQ8_0;
  static constexpr int kMax = 255;
  Words<V, 32> q;
  Halves<V> d;
  explicit PanelQ8_0(FieldCursor<V> f) : q(f.template words<32>()), d{f.halves()} {}
  template <int kWord>
  typename V::Int word(int64_t b) const {
    return V::from_signed(q.at(b, kWord));
  }
  typename V::Float scale(int64_t b) const { return d.floats(b); }
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
struct PanelIQ4_NL : PanelQ4_0<V> {
  static constexpr DType kType = DType::kIQ4_NL;
  static constexpr int kMax = 255;
  using PanelQ4_0<V>::PanelQ4_0;
  template <int kWord>
  typename V::Int word(int64_t b) const {
    return V::look_up(kLevels<V>.of, PanelQ4_0<V>::template word<kWord>(b));
  }
};

// ---- Types of 256 elements. word<kPart, kWord>: four elements of each row from 32 * kPart +
// 4 * kWord on. scales(): one integer a group. mins(): pairs as in panel_input.h.

// The six-bit scales and mins of Q4_K and Q5_K: four bytes of each in a word.
template <class V>
struct SixBits {
  typename V::Int scales[2], mins[2];
  SixBits(Words<V, 12> packed, int64_t b) {
    const auto u0 = packed.at(b, 0), u1 = packed.at(b, 1), u2 = packed.at(b, 2);
    const auto top = [](typename V::Int v) { return V::template shift_left<4>(bits<V, 6, 2>(v)); };
    scales[0] = bits<V, 0, 6>(u0);
    mins[0] = bits<V, 0, 6>(u1);
    scales[1] = V::or_(bits<V, 0, 4>(u2), top(u0));
    mins[1] = V::or_(bits<V, 4, 4>(u2), top(u1));
  }
};

// Bytes 0 and 2, then 1 and 3, of each word as two 16-bit integers.
template <class V>
void store_pairs(typename V::Int bytes, typename V::Int* out) {
  out[0] = V::and_words(bytes, 0x00ff00ff);
  out[1] = V::and_words(V::template shift_right<8>(bytes), 0x00ff00ff);
}

template <class V>
void store_bytes(typename V::Int bytes, typename V::Int* out) {
  out[0] = byte_of<V, 0>(bytes);
  out[1] = byte_of<V, 1>(bytes);
  out[2] = byte_of<V, 2>(bytes);
  out[3] = V::template shift_right<24>(bytes);
}

template <class V>
void store_signed_bytes(typename V::Int bytes, int subtract, typename V::Int* out) {
  store_bytes<V>(bytes, out);
  for (int i = 0; i < 4; ++i) out[i] = V::subtract(out[i], subtract);
}

template <class V>
struct PanelQ4_K {
  static constexpr DType kType = DType::kQ4_K;
  static constexpr int kMax = 15;
  Words<V, 128> q;
  Words<V, 12> packed;
  Halves<V> d, dmin;
  explicit PanelQ4_K(FieldCursor<V> f)
      : q(f.template words<128>()),
        packed(f.template words<12>()),
        d(f.halves()),
        dmin(f.halves()) {}
  template <int kPart, int kWord>
  typename V::Int word(int64_t b) const {
    return bits<V, kPart % 2 * 4, 4>(q.at(b, kPart / 2 * 8 + kWord));
  }
  typename V::Float scale(int64_t b) const { return d.floats(b); }
  typename V::Float min_scale(int64_t b) const { return dmin.floats(b); }
  void scales(int64_t b, typename V::Int* out) const {
    const SixBits<V> six(packed, b);
    store_bytes<V>(six.scales[0], out);
    store_bytes<V>(six.scales[1], out + 4);
  }
  void mins(int64_t b, typename V::Int* out) const {
    const SixBits<V> six(packed, b);
    store_pairs<V>(six.mins[0], out);
    store_pairs<V>(six.mins[1], out + 2);
  }
};

template <class V>
struct PanelQ5_K {
  static constexpr DType kType = DType::kQ5_K;
  static constexpr int kMax = 31;
  Words<V, 128> q;
  Words<V, 32> high;
  Words<V, 12> packed;
  Halves<V> d, dmin;
  explicit PanelQ5_K(FieldCursor<V> f)
      : q(f.template words<128>()),
        high(f.template words<32>()),
        packed(f.template words<12>()),
        d(f.halves()),
        dmin(f.halves()) {}
  template <int kPart, int kWord>
  typename V::Int word(int64_t b) const {
    const auto low = bits<V, kPart % 2 * 4, 4>(q.at(b, kPart / 2 * 8 + kWord));
    return V::or_(low, V::template shift_left<4>(bits<V, kPart, 1>(high.at(b, kWord))));
  }
  typename V::Float scale(int64_t b) const { return d.floats(b); }
  typename V::Float min_scale(int64_t b) const { return dmin.floats(b); }
  void scales(int64_t b, typename V::Int* out) const {
    const SixBits<V> six(packed, b);
    store_bytes<V>(six.scales[0], out);
    store_bytes<V>(six.scales[1], out + 4);
  }
  void mins(int64_t b, typename V::Int* out) const {
    const SixBits<V> six(packed, b);
    store_pairs<V>(six.mins[0], out);
    store_pairs<V>(six.mins[1], out + 2);
  }
};

template <class V>
struct PanelQ6_K {
  static constexpr DType kType = DType::kQ6_K;
  static constexpr int kMax = 63;
  Words<V, 128> q;
  Words<V, 64> high;
  Words<V, 16> packed;
  Halves<V> d;
  explicit PanelQ6_K(FieldCursor<V> f)
      : q(f.template words<128>()),
        high(f.template words<64>()),
        packed(f.template words<16>()),
        d(f.halves()) {}
  template <int kPart, int kWord>
  typename V::Int word(int64_t b) const {
    constexpr int kHalf = kPart / 4, kQuarter = kPart % 4;
    const auto low = bits < V, kQuarter < 2 ? 0 : 4,
               4 > (q.at(b, 16 * kHalf + 8 * (kQuarter % 2) + kWord));
    const auto top = bits<V, 2 * kQuarter, 2>(high.at(b, 8 * kHalf + kWord));
    return V::or_(low, V::template shift_left<4>(top));
  }
  typename V::Float scale(int64_t b) const { return d.floats(b); }
  void scales(int64_t b, typename V::Int* out) const {
    for (int i = 0; i < 4; ++i) {
      const auto four = packed.at(b, i);
      out[4 * i] = V::template shift_right_signed<24>(V::template shift_left<24>(four));
      out[4 * i + 1] = V::template shift_right_signed<24>(V::template shift_left<16>(four));
      out[4 * i + 2] = V::template shift_right_signed<24>(V::template shift_left<8>(four));
      out[4 * i + 3] = V::template shift_right_signed<24>(four);
    }
  }
};

template <class V>
struct PanelQ2_K {
  static constexpr DType kType = DType::kQ2_K;
  static constexpr int kMax = 3;
  Words<V, 64> q;
  Words<V, 16> packed;
  Halves<V> d, dmin;
  explicit PanelQ2_K(FieldCursor<V> f)
      : q(f.template words<64>()),
        packed(f.template words<16>()),
        d(f.halves()),
        dmin(f.halves()) {}
  template <int kPart, int kWord>
  typename V::Int word(int64_t b) const {
    return bits<V, 2 * (kPart % 4), 2>(q.at(b, kPart / 4 * 8 + kWord));
  }
  typename V::Float scale(int64_t b) const { return d.floats(b); }
  typename V::Float min_scale(int64_t b) const { return dmin.floats(b); }
  void scales(int64_t b, typename V::Int* out) const {
    for (int i = 0; i < 4; ++i) store_bytes<V>(bits<V, 0, 4>(packed.at(b, i)), out + 4 * i);
  }
  void mins(int64_t b, typename V::Int* out) const {
    for (int i = 0; i < 4; ++i) store_pairs<V>(bits<V, 4, 4>(packed.at(b, i)), out + 2 * i);
  }
};

template <class V>
struct PanelQ3_K {
  static constexpr DType kType = DType::kQ3_K;
  static constexpr int kMax = 7;
  Words<V, 64> q;
  Words<V, 32> high;
  Words<V, 12> packed;
  Halves<V> d;
  explicit PanelQ3_K(FieldCursor<V> f)
      : q(f.template words<64>()),
        high(f.template words<32>()),
        packed(f.template words<12>()),
        d(f.halves()) {}
  template <int kPart, int kWord>
  typename V::Int word(int64_t b) const {
    const auto low = bits<V, 2 * (kPart % 4), 2>(q.at(b, kPart / 4 * 8 + kWord));
    return V::or_(low, V::template shift_left<2>(bits<V, kPart, 1>(high.at(b, kWord))));
  }
  typename V::Float scale(int64_t b) const { return d.floats(b); }
  void scales(int64_t b, typename V::Int* out) const {
    const auto u0 = packed.at(b, 0), u1 = packed.at(b, 1), u2 = packed.at(b, 2);
    const auto join = [](typename V::Int low, typename V::Int top) {
      return V::or_(low, V::template shift_left<4>(top));
    };
    store_signed_bytes<V>(join(bits<V, 0, 4>(u0), bits<V, 0, 2>(u2)), 32, out);
    store_signed_bytes<V>(join(bits<V, 0, 4>(u1), bits<V, 2, 2>(u2)), 32, out + 4);
    store_signed_bytes<V>(join(bits<V, 4, 4>(u0), bits<V, 4, 2>(u2)), 32, out + 8);
    store_signed_bytes<V>(join(bits<V, 4, 4>(u1), bits<V, 6, 2>(u2)), 32, out + 12);
  }
};

template <class V>
struct PanelIQ4_XS {
  static constexpr DType kType = DType::kIQ4_XS;
  static constexpr int kMax = 255;
  Words<V, 128> q;
  Words<V, 4> low;
  Halves<V> d, high;
  explicit PanelIQ4_XS(FieldCursor<V> f)
      : q(f.template words<128>()), low(f.template words<4>()), d(f.halves()), high(f.halves()) {}
  template <int kPart, int kWord>
  typename V::Int word(int64_t b) const {
    const auto index = bits < V, kWord < 4 ? 0 : 4, 4 > (q.at(b, 4 * kPart + kWord % 4));
    return V::look_up(kLevels<V>.of, index);
  }
  typename V::Float scale(int64_t b) const { return d.floats(b); }
  void scales(int64_t b, typename V::Int* out) const {
    auto l = low.at(b, 0), h = high.integers(b);
    for (int s = 0; s < 8; ++s) {
      const auto top = V::template shift_left<4>(V::and_words(h, 3));
      out[s] = V::subtract(V::or_(V::and_words(l, 15), top), 32);
      l = V::template shift_right<4>(l);
      h = V::template shift_right<2>(h);
    }
  }
};

}  // namespace
}  // namespace hachi::ops::cpu
