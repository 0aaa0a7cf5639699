// The types of 32 elements with f16 scales and mins: the reference rounding of the format, and the
// search for those that importance weighs.
//
// Source of the reference rounding: quantize_row_q*_ref of ggml; the PyPI package gguf has the
// same.
#include <algorithm>
#include <cmath>

#include "kernels/half.h"
#include "quantize/encode.h"
#include "quantize/pack.h"
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

// The signed types: q from 0 to 2 * half - 1 stands for q - half. Truncation makes the halfway
// points round up.
uint16_t round_signed(const float* x, int half, uint8_t* q) {
  const auto offset = static_cast<float>(half);
  const float d = peak_of(x, kElements) / -offset;
  const float inverse = reciprocal(d);
  for (int i = 0; i < kElements; ++i) {
    const int rounded = static_cast<int>(x[i] * inverse + (offset + 0.5f));
    q[i] = static_cast<uint8_t>(std::min(2 * half - 1, rounded));
  }
  return ops::f32_to_f16(d);
}

// The types with a min: q from 0 to `highest`.
template <class Block>
void round_shifted(const float* x, int highest, Block* block, uint8_t* q) {
  const float min = *std::min_element(x, x + kElements);
  const float max = *std::max_element(x, x + kElements);
  const float d = (max - min) / static_cast<float>(highest);
  const float inverse = reciprocal(d);
  for (int i = 0; i < kElements; ++i) {
    const float rounded = (x[i] - min) * inverse + 0.5f;  // down, as the reference does
    q[i] = static_cast<uint8_t>(std::min(highest, static_cast<int>(rounded)));
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
uint16_t search_signed(const BlockValues& values, int half, uint8_t* q) {
  const Alphabet alphabet(-half, half - 1);
  const float scale = best_scale(values.loops, alphabet, values.run(0, kElements)).scale;
  const uint16_t d = ops::f32_to_f16(std::clamp(scale, -kLargest, kLargest));
  const float inverse = inverse_of(ops::f16_to_f32(d));
  for (int i = 0; i < kElements; ++i) {
    q[i] = static_cast<uint8_t>(nearest_integer(values.x[i] * inverse, -half, half - 1) + half);
  }
  return d;
}

template <class Block>
void search_shifted(const BlockValues& values, int highest, Block* block, uint8_t* q) {
  const ScaleMinFit fit =
      best_scale_and_min(values.loops, highest, MinSign::kAny, values.run(0, kElements));
  block->d = ops::f32_to_f16(std::clamp(fit.scale, 0.0f, kLargest));
  block->m = ops::f32_to_f16(std::clamp(-fit.shift, -kLargest, kLargest));
  const float inverse = inverse_of(ops::f16_to_f32(block->d));
  for (int i = 0; i < kElements; ++i) {
    const float shifted = values.x[i] - ops::f16_to_f32(block->m);
    q[i] = static_cast<uint8_t>(nearest_integer(shifted * inverse, 0, highest));
  }
}

}  // namespace

void round_reference(const float* x, ops::BlockQ4_0* block) {
  uint8_t q[kElements];
  block->d = round_signed(x, 8, q);
  pack(q, block);
}

void round_reference(const float* x, ops::BlockQ4_1* block) {
  uint8_t q[kElements];
  round_shifted(x, 15, block, q);
  pack(q, block);
}

void round_reference(const float* x, ops::BlockQ5_0* block) {
  uint8_t q[kElements];
  block->d = round_signed(x, 16, q);
  pack(q, block);
}

void round_reference(const float* x, ops::BlockQ5_1* block) {
  uint8_t q[kElements];
  round_shifted(x, 31, block, q);
  pack(q, block);
}

void round_reference(const float* x, ops::BlockQ8_0* block) {
  const float d = std::fabs(peak_of(x, kElements)) / 127.0f;
  const float inverse = reciprocal(d);
  block->d = ops::f32_to_f16(d);
  for (int i = 0; i < kElements; ++i) block->q[i] = static_cast<int8_t>(round_away(x[i] * inverse));
}

void encode(const BlockValues& values, ops::BlockQ4_0* block) {
  uint8_t q[kElements];
  block->d = search_signed(values, 8, q);
  pack(q, block);
}

void encode(const BlockValues& values, ops::BlockQ4_1* block) {
  uint8_t q[kElements];
  search_shifted(values, 15, block, q);
  pack(q, block);
}

void encode(const BlockValues& values, ops::BlockQ5_0* block) {
  uint8_t q[kElements];
  block->d = search_signed(values, 16, q);
  pack(q, block);
}

void encode(const BlockValues& values, ops::BlockQ5_1* block) {
  uint8_t q[kElements];
  search_shifted(values, 31, block, q);
  pack(q, block);
}

}  // namespace hachi::quantize
