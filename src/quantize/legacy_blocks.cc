// The types of 32 elements with f16 scales and mins: the reference rounding of the format, and the
// search for those that importance weighs.
//
// Source of the reference rounding: quantize_row_q*_ref of ggml; the PyPI package gguf has the
// same.
#include <algorithm>
#include <cmath>

#include "kernels/half.h"
#include "quantize/encode.h"
#include "quantize/scale_min_search.h"
#include "quantize/scale_search.h"

namespace hachi::quantize {
namespace {

constexpr int kElements = 32;

// 1 / d, or 0 where d is 0 or so small that it has no finite inverse.
float reciprocal(float d) {
  const float inverse = 1.0f / d;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

// The value of largest magnitude, the first of several.
float peak_of(const float* x) {
  float peak = 0;
  for (int i = 0; i < kElements; ++i) {
    if (std::fabs(x[i]) > std::fabs(peak)) peak = x[i];
  }
  return peak;
}

// Four bits of each of 32 values, and the fifth of those.
void pack_fours(const int* q, uint8_t* packed) {
  for (int j = 0; j < 16; ++j)
    packed[j] = static_cast<uint8_t>((q[j] & 15) | (q[j + 16] & 15) << 4);
}

void pack_fifths(const int* q, uint8_t* high) {
  for (int k = 0; k < 4; ++k) {
    int bits = 0;
    for (int j = 0; j < 8; ++j) bits |= (q[8 * k + j] >> 4 & 1) << j;
    high[k] = static_cast<uint8_t>(bits);
  }
}

// The signed types: q from 0 to 2 * half - 1 stands for q - half. Truncation makes the halfway
// points round up.
uint16_t round_signed(const float* x, int half, int* q) {
  const auto offset = static_cast<float>(half);
  const float d = peak_of(x) / -offset;
  const float inverse = reciprocal(d);
  for (int i = 0; i < kElements; ++i) {
    q[i] = std::min(2 * half - 1, static_cast<int>(x[i] * inverse + (offset + 0.5f)));
  }
  return ops::f32_to_f16(d);
}

// The types with a min: q from 0 to `highest`.
template <class Block>
void round_shifted(const float* x, int highest, Block* block, int* q) {
  const float min = *std::min_element(x, x + kElements);
  const float max = *std::max_element(x, x + kElements);
  const float d = (max - min) / static_cast<float>(highest);
  const float inverse = reciprocal(d);
  for (int i = 0; i < kElements; ++i) {
    q[i] = std::min(highest, static_cast<int>((x[i] - min) * inverse + 0.5f));
  }
  block->d = ops::f32_to_f16(d);
  block->m = ops::f32_to_f16(min);
}

// To the nearest integer, halves away from zero.
int round_away(float v) {
  const int whole = static_cast<int>(v);
  const float rest = v - static_cast<float>(whole);
  return whole + static_cast<int>(rest >= 0.5f) - static_cast<int>(rest <= -0.5f);
}

// The search without a min. The scale is an f16; the integers are those nearest under it.
uint16_t search_signed(const BlockValues& values, int half, int* q) {
  const Alphabet alphabet(-half, half - 1);
  const float scale = best_scale(values.loops, alphabet, values.run(0, kElements)).scale;
  const uint16_t d = ops::f32_to_f16(std::clamp(scale, -kLargest, kLargest));
  const float inverse = inverse_of(ops::f16_to_f32(d));
  for (int i = 0; i < kElements; ++i) {
    q[i] = nearest_integer(values.x[i] * inverse, -half, half - 1) + half;
  }
  return d;
}

template <class Block>
void search_shifted(const BlockValues& values, int highest, Block* block, int* q) {
  const ScaleMinFit fit =
      best_scale_and_min(values.loops, highest, MinSign::kAny, values.run(0, kElements));
  block->d = ops::f32_to_f16(std::clamp(fit.scale, 0.0f, kLargest));
  block->m = ops::f32_to_f16(std::clamp(-fit.shift, -kLargest, kLargest));
  const float inverse = inverse_of(ops::f16_to_f32(block->d));
  for (int i = 0; i < kElements; ++i) {
    q[i] = nearest_integer((values.x[i] - ops::f16_to_f32(block->m)) * inverse, 0, highest);
  }
}

}  // namespace

void round_reference(const float* x, ops::BlockQ4_0* block) {
  int q[kElements];
  block->d = round_signed(x, 8, q);
  pack_fours(q, block->q);
}

void round_reference(const float* x, ops::BlockQ4_1* block) {
  int q[kElements];
  round_shifted(x, 15, block, q);
  pack_fours(q, block->q);
}

void round_reference(const float* x, ops::BlockQ5_0* block) {
  int q[kElements];
  block->d = round_signed(x, 16, q);
  pack_fours(q, block->q);
  pack_fifths(q, block->high);
}

void round_reference(const float* x, ops::BlockQ5_1* block) {
  int q[kElements];
  round_shifted(x, 31, block, q);
  pack_fours(q, block->q);
  pack_fifths(q, block->high);
}

void round_reference(const float* x, ops::BlockQ8_0* block) {
  const float d = std::fabs(peak_of(x)) / 127.0f;
  const float inverse = reciprocal(d);
  block->d = ops::f32_to_f16(d);
  for (int i = 0; i < kElements; ++i) block->q[i] = static_cast<int8_t>(round_away(x[i] * inverse));
}

void encode(const BlockValues& values, ops::BlockQ4_0* block) {
  int q[kElements];
  block->d = search_signed(values, 8, q);
  pack_fours(q, block->q);
}

void encode(const BlockValues& values, ops::BlockQ4_1* block) {
  int q[kElements];
  search_shifted(values, 15, block, q);
  pack_fours(q, block->q);
}

void encode(const BlockValues& values, ops::BlockQ5_0* block) {
  int q[kElements];
  block->d = search_signed(values, 16, q);
  pack_fours(q, block->q);
  pack_fifths(q, block->high);
}

void encode(const BlockValues& values, ops::BlockQ5_1* block) {
  int q[kElements];
  search_shifted(values, 31, block, q);
  pack_fours(q, block->q);
  pack_fifths(q, block->high);
}

}  // namespace hachi::quantize
