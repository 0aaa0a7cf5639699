// The types whose magnitudes come from a grid: 32 elements at a time, four points of 8 elements or
// eight of 4, and their 32 signs at once. Grids are read by address: an operator of std::array is a
// function that the linker could share.
#include <cstddef>

#include "kernels/blocks.h"
#include "kernels/cpu/unpack_avx2.h"
#include "kernels/iq_grids.h"

namespace hachi::ops::cpu::avx2 {
namespace {

uint32_t load_word(const std::byte* p) {
  uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

unsigned byte_at(const std::byte* p, int64_t i) { return static_cast<unsigned>(p[i]); }

// The eight magnitudes of a point, and the four.
template <size_t kSize>
int64_t point(const Grid<kSize, 8>& grid, unsigned index) {
  int64_t magnitudes;
  std::memcpy(&magnitudes, reinterpret_cast<const std::byte*>(&grid) + 8 * index, 8);
  return magnitudes;
}
template <size_t kSize>
int point(const Grid<kSize, 4>& grid, unsigned index) {
  int magnitudes;
  std::memcpy(&magnitudes, reinterpret_cast<const std::byte*>(&grid) + 4 * index, 4);
  return magnitudes;
}

template <size_t kSize>
__m256i four_points(const Grid<kSize, 8>& grid, const unsigned* index) {
  return _mm256_setr_epi64x(point(grid, index[0]), point(grid, index[1]), point(grid, index[2]),
                            point(grid, index[3]));
}
template <size_t kSize>
__m256i eight_points(const Grid<kSize, 4>& grid, const unsigned* index) {
  return _mm256_setr_epi32(point(grid, index[0]), point(grid, index[1]), point(grid, index[2]),
                           point(grid, index[3]), point(grid, index[4]), point(grid, index[5]),
                           point(grid, index[6]), point(grid, index[7]));
}

// The 32 elements, those negative whose bit is set.
void store_signed(int8_t* y, __m256i magnitudes, uint32_t signs) {
  const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                          2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(signs)), spread);
  const __m256i negative = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
  store32(y, _mm256_sub_epi8(_mm256_xor_si256(magnitudes, negative), negative));
}

// Seven signs a byte, each byte with an eighth that makes the number of negatives even.
uint32_t even_signs(uint32_t sevens) {
  uint32_t parity = sevens ^ sevens >> 4;  // in the lowest bit of each byte, when folded
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return sevens | (parity & 0x01010101u) << 7;
}

// Four fields of seven bits to a byte each.
uint32_t spread_sevens(uint32_t word) {
  return (word & 0x7fu) | (word << 1 & 0x7f00u) | (word << 2 & 0x7f0000u) |
         (word << 3 & 0x7f000000u);
}

// 16 scales of four bits at `packed`: d * (four + 0.5) / 4.
void store_scales_iq2(float* y, const std::byte* packed, float d) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(packed));
  const __m128i fours = _mm_unpacklo_epi8(low_nibbles(bytes), high_nibbles(bytes));
  const __m256 half = _mm256_set1_ps(0.5f);
  const __m256 factor = _mm256_set1_ps(d);
  const __m256 quarter = _mm256_set1_ps(0.25f);
  for (int i = 0; i < 2; ++i) {
    const __m256 scale = _mm256_add_ps(i == 0 ? floats_of_low(fours) : floats_of_high(fours), half);
    _mm256_storeu_ps(y + 8 * i, _mm256_mul_ps(_mm256_mul_ps(factor, scale), quarter));
  }
}

}  // namespace

void unpack_iq3_s(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 256, data += sizeof(BlockIQ3_S)) {
    const float d = load_f16(data + offsetof(BlockIQ3_S, d));
    for (int s = 0; s < 8; ++s) {
      const std::byte* low = data + offsetof(BlockIQ3_S, q) + 8 * s;
      const unsigned high = byte_at(data + offsetof(BlockIQ3_S, high), s);
      unsigned index[8];
      for (int k = 0; k < 8; ++k) index[k] = byte_at(low, k) | (high << (8 - k) & 256u);
      store_signed(row.q + i + 32 * s, eight_points(kGridIQ3_S, index),
                   load_word(data + offsetof(BlockIQ3_S, signs) + 4 * s));
      const unsigned scale = byte_at(data + offsetof(BlockIQ3_S, scales), s / 2) >> (s % 2 * 4);
      store_pair(row.scales + i / kGroup + 2 * s, d * static_cast<float>(2 * (scale & 15u) + 1));
    }
  }
}

void unpack_iq3_xxs(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 256, data += sizeof(BlockIQ3_XXS)) {
    const float d = load_f16(data + offsetof(BlockIQ3_XXS, d));
    for (int s = 0; s < 8; ++s) {
      const uint32_t word = load_word(data + offsetof(BlockIQ3_XXS, words) + 4 * s);
      unsigned index[8];
      for (int k = 0; k < 8; ++k) index[k] = byte_at(data + offsetof(BlockIQ3_XXS, q), 8 * s + k);
      store_signed(row.q + i + 32 * s, eight_points(kGridIQ3_XXS, index),
                   even_signs(spread_sevens(word)));
      const float scale = static_cast<float>(static_cast<int>(word >> 28)) + 0.5f;
      store_pair(row.scales + i / kGroup + 2 * s, d * scale * 0.5f);
    }
  }
}

void unpack_iq2_s(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 256, data += sizeof(BlockIQ2_S)) {
    store_scales_iq2(row.scales + i / kGroup, data + offsetof(BlockIQ2_S, scales),
                     load_f16(data + offsetof(BlockIQ2_S, d)));
    for (int s = 0; s < 8; ++s) {
      const unsigned high = byte_at(data + offsetof(BlockIQ2_S, high), s);
      unsigned index[4];
      for (int k = 0; k < 4; ++k) {
        index[k] =
            byte_at(data + offsetof(BlockIQ2_S, q), 4 * s + k) | (high << (8 - 2 * k) & 768u);
      }
      store_signed(row.q + i + 32 * s, four_points(kGridIQ2_S, index),
                   load_word(data + offsetof(BlockIQ2_S, signs) + 4 * s));
    }
  }
}

void unpack_iq2_xs(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 256, data += sizeof(BlockIQ2_XS)) {
    store_scales_iq2(row.scales + i / kGroup, data + offsetof(BlockIQ2_XS, scales),
                     load_f16(data + offsetof(BlockIQ2_XS, d)));
    for (int s = 0; s < 8; ++s) {
      uint16_t q[4];
      std::memcpy(q, data + offsetof(BlockIQ2_XS, q) + 8 * s, sizeof q);
      unsigned index[4];
      uint32_t sevens = 0;
      for (int k = 0; k < 4; ++k) {
        index[k] = q[k] & 511u;
        sevens |= static_cast<uint32_t>(q[k] >> 9) << (8 * k);
      }
      store_signed(row.q + i + 32 * s, four_points(kGridIQ2_XS, index), even_signs(sevens));
    }
  }
}

void unpack_iq2_xxs(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 256, data += sizeof(BlockIQ2_XXS)) {
    const float d = load_f16(data + offsetof(BlockIQ2_XXS, d));
    for (int s = 0; s < 8; ++s) {
      const std::byte* sub_block = data + offsetof(BlockIQ2_XXS, sub_blocks) + 8 * s;
      const uint32_t word = load_word(sub_block + 4);
      unsigned index[4];
      for (int k = 0; k < 4; ++k) index[k] = byte_at(sub_block, k);
      store_signed(row.q + i + 32 * s, four_points(kGridIQ2_XXS, index),
                   even_signs(spread_sevens(word)));
      const float scale = static_cast<float>(static_cast<int>(word >> 28)) + 0.5f;
      store_pair(row.scales + i / kGroup + 2 * s, d * scale * 0.25f);
    }
  }
}

}  // namespace hachi::ops::cpu::avx2
