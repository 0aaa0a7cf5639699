// The elements of a block into its bits: the layouts of kernels/blocks.h, written. Scales and mins
// stay as they are.
#pragma once

#include <cstdint>

#include "kernels/blocks.h"

namespace hachi::quantize {

// q: an element each, less the lowest that the type has; of the IQ4 types the place of its level.
void pack(const uint8_t* q, ops::BlockQ4_0* block);
void pack(const uint8_t* q, ops::BlockQ4_1* block);
void pack(const uint8_t* q, ops::BlockQ5_0* block);
void pack(const uint8_t* q, ops::BlockQ5_1* block);
void pack(const uint8_t* q, ops::BlockQ2_K* block);
void pack(const uint8_t* q, ops::BlockQ3_K* block);
void pack(const uint8_t* q, ops::BlockQ4_K* block);
void pack(const uint8_t* q, ops::BlockQ5_K* block);
void pack(const uint8_t* q, ops::BlockQ6_K* block);
void pack(const uint8_t* q, ops::BlockIQ4_NL* block);
void pack(const uint8_t* q, ops::BlockIQ4_XS* block);

}  // namespace hachi::quantize
