// One block of each type from its values. blocks.cc cuts rows into blocks, makes their values
// finite and weighs them; the files *_blocks.cc hold a family of types each.
#pragma once

#include <cstdint>

#include "kernels/blocks.h"
#include "quantize/search.h"

namespace hachi::quantize {

inline constexpr float kLargest = 65504.0f;  // the largest f16: no value or scale goes beyond

inline constexpr Levels kIQ4Levels = make_levels(ops::kIQ4Values);

// The elements of a block.
struct BlockValues {
  const float* x;        // finite, at most kLargest
  const float* weights;  // of their squared errors: none negative, some positive
  const SearchLoops& loops;

  Run run(int first, int n) const { return {x + first, weights + first, n}; }
};

// legacy_blocks.cc: the reference rounding, which knows no weights.
void round_reference(const float* x, ops::BlockQ4_0* block);
void round_reference(const float* x, ops::BlockQ4_1* block);
void round_reference(const float* x, ops::BlockQ5_0* block);
void round_reference(const float* x, ops::BlockQ5_1* block);
void round_reference(const float* x, ops::BlockQ8_0* block);

// The search for the least weighted error.
void encode(const BlockValues& values, ops::BlockQ4_0* block);  // legacy_blocks.cc
void encode(const BlockValues& values, ops::BlockQ4_1* block);
void encode(const BlockValues& values, ops::BlockQ5_0* block);
void encode(const BlockValues& values, ops::BlockQ5_1* block);
void encode(const BlockValues& values, ops::BlockQ2_K* block);  // k_min_blocks.cc
void encode(const BlockValues& values, ops::BlockQ4_K* block);
void encode(const BlockValues& values, ops::BlockQ5_K* block);
void encode(const BlockValues& values, ops::BlockQ3_K* block);  // k_blocks.cc
void encode(const BlockValues& values, ops::BlockQ6_K* block);
void encode(const BlockValues& values, ops::BlockIQ4_NL* block);  // iq4_blocks.cc
void encode(const BlockValues& values, ops::BlockIQ4_XS* block);
void encode(const BlockValues& values, ops::BlockIQ3_S* block);  // iq_blocks.cc
void encode(const BlockValues& values, ops::BlockIQ3_XXS* block);
void encode(const BlockValues& values, ops::BlockIQ2_S* block);
void encode(const BlockValues& values, ops::BlockIQ2_XS* block);
void encode(const BlockValues& values, ops::BlockIQ2_XXS* block);

}  // namespace hachi::quantize
