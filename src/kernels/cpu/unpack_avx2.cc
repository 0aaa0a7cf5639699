#include "kernels/cpu/unpack_avx2.h"

#include <cstddef>

#include "kernels/blocks.h"
#include "kernels/cpu/avx2.h"

namespace hachi::ops::cpu::avx2 {
namespace {

// The five-bit values of 32 elements: four bits at `q`, the fifth at `high`.
__m256i five_bits(const std::byte* q, const std::byte* high) {
  int bits;
  std::memcpy(&bits, high, sizeof bits);
  // Each byte gets the byte of `high` that its bit is in, then is tested for that bit.
  const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                          2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), spread);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
  return _mm256_or_si256(all_nibbles(load16(q)), _mm256_and_si256(set, _mm256_set1_epi8(16)));
}

void unpack_q4_0(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 32, data += sizeof(BlockQ4_0)) {
    store32(row.q + i, _mm256_sub_epi8(all_nibbles(load16(data + offsetof(BlockQ4_0, q))),
                                       _mm256_set1_epi8(8)));
    store_pair(row.scales + i / kGroup, load_f16(data + offsetof(BlockQ4_0, d)));
  }
}

void unpack_q4_1(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 32, data += sizeof(BlockQ4_1)) {
    store32(row.q + i, all_nibbles(load16(data + offsetof(BlockQ4_1, q))));
    store_pair(row.scales + i / kGroup, load_f16(data + offsetof(BlockQ4_1, d)));
    store_pair(row.mins + i / kGroup, load_f16(data + offsetof(BlockQ4_1, m)));
  }
}

void unpack_q5_0(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 32, data += sizeof(BlockQ5_0)) {
    store32(row.q + i, _mm256_sub_epi8(five_bits(data + offsetof(BlockQ5_0, q),
                                                 data + offsetof(BlockQ5_0, high)),
                                       _mm256_set1_epi8(16)));
    store_pair(row.scales + i / kGroup, load_f16(data + offsetof(BlockQ5_0, d)));
  }
}

void unpack_q5_1(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 32, data += sizeof(BlockQ5_1)) {
    store32(row.q + i, five_bits(data + offsetof(BlockQ5_1, q), data + offsetof(BlockQ5_1, high)));
    store_pair(row.scales + i / kGroup, load_f16(data + offsetof(BlockQ5_1, d)));
    store_pair(row.mins + i / kGroup, load_f16(data + offsetof(BlockQ5_1, m)));
  }
}

void unpack_q8_0(const std::byte* data, int64_t n, const UnpackedRow& row) {
  for (int64_t i = 0; i < n; i += 32, data += sizeof(BlockQ8_0)) {
    store32(row.q + i, load32(data + offsetof(BlockQ8_0, q)));
    store_pair(row.scales + i / kGroup, load_f16(data + offsetof(BlockQ8_0, d)));
  }
}

void unpack_iq4_nl(const std::byte* data, int64_t n, const UnpackedRow& row) {
  const __m256i levels = _mm256_broadcastsi128_si256(load16(kIQ4Values));
  for (int64_t i = 0; i < n; i += 32, data += sizeof(BlockIQ4_NL)) {
    store32(row.q + i,
            _mm256_shuffle_epi8(levels, all_nibbles(load16(data + offsetof(BlockIQ4_NL, q)))));
    store_pair(row.scales + i / kGroup, load_f16(data + offsetof(BlockIQ4_NL, d)));
  }
}

}  // namespace

void unpack(DType dtype, const std::byte* data, int64_t n, const UnpackedRow& row) {
  switch (dtype) {
    case DType::kQ4_0:
      return unpack_q4_0(data, n, row);
    case DType::kQ4_1:
      return unpack_q4_1(data, n, row);
    case DType::kQ5_0:
      return unpack_q5_0(data, n, row);
    case DType::kQ5_1:
      return unpack_q5_1(data, n, row);
    case DType::kQ8_0:
      return unpack_q8_0(data, n, row);
    case DType::kQ2_K:
      return unpack_q2_k(data, n, row);
    case DType::kQ3_K:
      return unpack_q3_k(data, n, row);
    case DType::kQ4_K:
      return unpack_q4_k(data, n, row);
    case DType::kQ5_K:
      return unpack_q5_k(data, n, row);
    case DType::kQ6_K:
      return unpack_q6_k(data, n, row);
    case DType::kIQ4_NL:
      return unpack_iq4_nl(data, n, row);
    case DType::kIQ4_XS:
      return unpack_iq4_xs(data, n, row);
    case DType::kIQ3_S:
    case DType::kIQ3_XXS:
    case DType::kIQ2_S:
    case DType::kIQ2_XS:
    case DType::kIQ2_XXS:
      return ops::unpack(dtype, data, n, row);  // bound by the look-ups of their grids
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF8E4M3:
    case DType::kI32:
      return;  // no block type: the ops have checked
  }
}

}  // namespace hachi::ops::cpu::avx2
