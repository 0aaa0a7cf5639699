#include "quantize/pack.h"

namespace hachi::quantize {
namespace {

// The low four bits of `count` elements, then beside them those of the next `count`.
void pack_fours(const uint8_t* q, int count, uint8_t* out) {
  for (int j = 0; j < count; ++j) {
    out[j] = static_cast<uint8_t>((q[j] & 15) | (q[j + count] & 15) << 4);
  }
}

// 256 elements, 64 after 64.
void pack_fours_k(const uint8_t* q, uint8_t* out) {
  for (int first = 0; first < 256; first += 64) pack_fours(q + first, 32, out + first / 2);
}

// Two bits from `shift` on of 256 elements: those that are 32 apart share a byte.
void pack_pairs(const uint8_t* q, int shift, uint8_t* out) {
  for (int half = 0; half < 2; ++half) {
    for (int l = 0; l < 32; ++l) {
      int byte = 0;
      for (int j = 0; j < 4; ++j) byte |= (q[128 * half + 32 * j + l] >> shift & 3) << (2 * j);
      out[32 * half + l] = static_cast<uint8_t>(byte);
    }
  }
}

// Bit `bit` of 256 elements: those that are 32 apart share a byte.
void pack_plane(const uint8_t* q, int bit, uint8_t* out) {
  for (int l = 0; l < 32; ++l) {
    int byte = 0;
    for (int s = 0; s < 8; ++s) byte |= (q[32 * s + l] >> bit & 1) << s;
    out[l] = static_cast<uint8_t>(byte);
  }
}

// The fifth bit of 32 elements, eight neighbours a byte.
void pack_fifths(const uint8_t* q, uint8_t* out) {
  for (int k = 0; k < 4; ++k) {
    int byte = 0;
    for (int j = 0; j < 8; ++j) byte |= (q[8 * k + j] >> 4 & 1) << j;
    out[k] = static_cast<uint8_t>(byte);
  }
}

}  // namespace

void pack(const uint8_t* q, ops::BlockQ4_0* block) { pack_fours(q, 16, block->q); }

void pack(const uint8_t* q, ops::BlockQ4_1* block) { pack_fours(q, 16, block->q); }

void pack(const uint8_t* q, ops::BlockQ5_0* block) {
  pack_fours(q, 16, block->q);
  pack_fifths(q, block->high);
}

void pack(const uint8_t* q, ops::BlockQ5_1* block) {
  pack_fours(q, 16, block->q);
  pack_fifths(q, block->high);
}

void pack(const uint8_t* q, ops::BlockQ2_K* block) { pack_pairs(q, 0, block->q); }

void pack(const uint8_t* q, ops::BlockQ3_K* block) {
  pack_pairs(q, 0, block->q);
  pack_plane(q, 2, block->high);
}

void pack(const uint8_t* q, ops::BlockQ4_K* block) { pack_fours_k(q, block->q); }

void pack(const uint8_t* q, ops::BlockQ5_K* block) {
  pack_fours_k(q, block->q);
  pack_plane(q, 4, block->high);
}

void pack(const uint8_t* q, ops::BlockQ6_K* block) {
  for (int half = 0; half < 2; ++half) pack_fours(q + 128 * half, 64, block->q + 64 * half);
  pack_pairs(q, 4, block->high);
}

void pack(const uint8_t* q, ops::BlockIQ4_NL* block) { pack_fours(q, 16, block->q); }

void pack(const uint8_t* q, ops::BlockIQ4_XS* block) {
  for (int first = 0; first < 256; first += 32) pack_fours(q + first, 16, block->q + first / 2);
}

}  // namespace hachi::quantize
