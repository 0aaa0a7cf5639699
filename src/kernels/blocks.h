// The block types of GGUF, field by field. A row of a matrix is a run of blocks; elements are
// numbered within a block. f16 fields are held as their bits. A block may lie at any byte: copy it
// out (memcpy) before a field is read. unpack_block.h says what the fields mean in full.
//
// Source: the GGUF specification and the block definitions of ggml (ggml-common.h).
#pragma once

#include <cstdint>

namespace hachi::ops {

// Types with 32 elements: byte j holds element j in its low and element j + 16 in its high four
// bits.

// w = d * (q - 8)
struct BlockQ4_0 {
  uint16_t d;
  uint8_t q[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

// w = d * q + m
struct BlockQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t q[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

// w = d * (q - 16); bit 4 of element j is bit j of `high`, little endian
struct BlockQ5_0 {
  uint16_t d;
  uint8_t high[4];
  uint8_t q[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

// w = d * q + m; bit 4 as in Q5_0
struct BlockQ5_1 {
  uint16_t d;
  uint16_t m;
  uint8_t high[4];
  uint8_t q[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

// w = d * q
struct BlockQ8_0 {
  uint16_t d;
  int8_t q[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

// w = d * kIQ4Values[q]: sixteen levels, denser near zero
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t q[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

inline constexpr int8_t kIQ4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

// Types with 256 elements, in sub-blocks with integer scales of their own.

// 16 sub-blocks of 16: w = (d * (scales[s] & 15)) * q - dmin * (scales[s] >> 4). Element
// 128h + 32j + l is at bits 2j of q[32h + l].
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t q[64];
  uint16_t d;
  uint16_t dmin;
};
static_assert(sizeof(BlockQ2_K) == 84);

// 16 sub-blocks of 16: w = (d * (scale - 32)) * (q - 4). The low two bits of q as in Q2_K; bit 2 of
// element 128h + 32j + l is bit 4h + j of high[l]. The low four bits of scale s are those of byte
// s % 8 (low half for s < 8, else high half), its high two bits are bits 2 * (s / 4) of byte
// 8 + s % 4.
struct BlockQ3_K {
  uint8_t high[32];
  uint8_t q[64];
  uint8_t scales[12];
  uint16_t d;
};
static_assert(sizeof(BlockQ3_K) == 110);

// 8 sub-blocks of 32: w = (d * scale) * q - dmin * min. Byte 32j + l of q holds element 64j + l in
// its low and element 64j + 32 + l in its high four bits. The 6-bit scales and mins are packed as
// scale_min_k4() of unpack_block.h unpacks them.
struct BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t q[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

// As Q4_K; bit 4 of element 32s + l is bit s of high[l].
struct BlockQ5_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t high[32];
  uint8_t q[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

// 16 sub-blocks of 16: w = (d * scales[s]) * (q - 32). Element 128h + 32j + l has its low four bits
// in q[64h + 32 * (j % 2) + l] (low half for j < 2, else high half) and its high two bits at bits
// 2j of high[32h + l].
struct BlockQ6_K {
  uint8_t q[128];
  uint8_t high[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210);

// 8 sub-blocks of 32: w = (d * (scale - 32)) * kIQ4Values[q], each sub-block packed as IQ4_NL.
// Scale s has its low four bits in scales_low[s / 2] (low half for even s) and its high two at bits
// 2s of scales_high.
struct BlockIQ4_XS {
  uint16_t d;
  uint16_t scales_high;
  uint8_t scales_low[4];
  uint8_t q[128];
};
static_assert(sizeof(BlockIQ4_XS) == 136);

// Types of 256 elements whose magnitudes come from a grid (iq_grids.h): an index names the
// magnitudes of 8 (IQ2) or 4 (IQ3) neighbours at once, and their signs lie apart, 8 a byte, a set
// bit for a negative one. Where a sign byte is stored in 7 bits, bit 7 is the parity of the others,
// so that the number of negatives is even.

// 8 sub-blocks of 32: w = d * (2 * scale + 1) * grid, scale s in four bits of scales[s / 2] (low
// half for even s). Elements 4k..4k+3 have the index q[k] with bit 8 at bit k % 8 of high[k / 8].
struct BlockIQ3_S {
  uint16_t d;
  uint8_t q[64];
  uint8_t high[8];
  uint8_t signs[32];
  uint8_t scales[4];
};
static_assert(sizeof(BlockIQ3_S) == 110);

// 8 sub-blocks of 32: w = d * (scale + 0.5) / 2 * grid. Elements 4k..4k+3 have the index q[k]. Word
// s (little endian) has four sign fields of 7 bits for sub-block s, from bit 0 on, and its scale in
// the top four bits.
struct BlockIQ3_XXS {
  uint16_t d;
  uint8_t q[64];
  uint8_t words[8][4];
};
static_assert(sizeof(BlockIQ3_XXS) == 98);

// 16 sub-blocks of 16: w = d * (scale + 0.5) / 4 * grid, scale s in four bits of scales[s / 2] (low
// half for even s). Elements 8k..8k+7 have the index q[k] with bits 8 and 9 at bits 2 * (k % 4) of
// high[k / 4].
struct BlockIQ2_S {
  uint16_t d;
  uint8_t q[32];
  uint8_t signs[32];
  uint8_t high[8];
  uint8_t scales[8];
};
static_assert(sizeof(BlockIQ2_S) == 82);

// As IQ2_S; elements 8k..8k+7 have their index in the low 9 bits of q[k] and their signs in the 7
// bits above.
struct BlockIQ2_XS {
  uint16_t d;
  uint16_t q[32];
  uint8_t scales[8];
};
static_assert(sizeof(BlockIQ2_XS) == 74);

// 8 sub-blocks of 32: w = d * (scale + 0.5) / 4 * grid. Sub-block s has the four indices q[s] and a
// word as in IQ3_XXS.
struct BlockIQ2_XXS {
  uint16_t d;
  struct {
    uint8_t q[4];
    uint8_t word[4];
  } sub_blocks[8];
};
static_assert(sizeof(BlockIQ2_XXS) == 66);

}  // namespace hachi::ops
