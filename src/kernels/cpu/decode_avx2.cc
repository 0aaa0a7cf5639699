#include <cstddef>

#include "kernels/cpu/avx2.h"
#include "kernels/cpu/unpack_avx2.h"

namespace hachi::ops::cpu::avx2 {
namespace {

// Plain floats: eight at a time, and the rest through a padded copy. `convert` is a lambda, of a
// type of its own, so that it is inlined.
template <size_t kBytes, class Convert>
void decode_floats(const std::byte* data, int64_t n, float* y, const Convert& convert) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, convert(data + i * kBytes));
  if (i == n) return;
  std::byte rest[8 * kBytes] = {};
  std::memcpy(rest, data + i * kBytes, static_cast<size_t>(n - i) * kBytes);
  _mm256_maskstore_ps(y + i, first_lanes(n - i), convert(rest));
}

__m256 floats_of_f16(const std::byte* data) { return _mm256_cvtph_ps(load16(data)); }

__m256 floats_of_bf16(const std::byte* data) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16(data)), 16));
}

// By way of f16: the same layout with one exponent bit more, so that subnormals come out right, and
// a bias that is 8 larger. All ones, which f16 would take for 480 / 2^8, becomes a NaN.
__m256 floats_of_f8(const std::byte* data) {
  const __m128i words = _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(data)));
  const __m128i magnitude = _mm_slli_epi16(_mm_and_si128(words, _mm_set1_epi16(0x7f)), 7);
  const __m128i sign = _mm_slli_epi16(_mm_and_si128(words, _mm_set1_epi16(0x80)), 8);
  const __m128i is_nan = _mm_cmpeq_epi16(magnitude, _mm_set1_epi16(0x7f << 7));
  const __m128i nan = _mm_and_si128(is_nan, _mm_set1_epi16(0x7c00));
  const __m128i half = _mm_or_si128(_mm_or_si128(magnitude, sign), nan);
  return _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(256.0f));
}

// y = scale * q + min, rounded twice, as the formats define it, of 16 signed bytes.
void store_shifted(float* y, __m128i q, float scale, float min) {
  const __m256 s = _mm256_set1_ps(scale);
  const __m256 m = _mm256_set1_ps(min);
  _mm256_storeu_ps(y, _mm256_add_ps(_mm256_mul_ps(s, floats_of_low(q)), m));
  _mm256_storeu_ps(y + 8, _mm256_add_ps(_mm256_mul_ps(s, floats_of_high(q)), m));
}

void decode_blocks(DType dtype, const std::byte* data, int64_t n, float* y) {
  constexpr int64_t kRun = 256;  // a multiple of every block size
  int8_t q[kRun];
  float scales[kRun / kGroup];
  float mins[kRun / kGroup];
  const bool shifted = has_mins(dtype);
  for (int64_t first = 0; first < n; first += kRun, data += row_bytes(dtype, kRun)) {
    const int64_t count = n - first < kRun ? n - first : kRun;
    unpack(dtype, data, count, {q, scales, mins});
    for (int64_t i = 0; i < count; i += kGroup) {
      if (shifted) {
        store_shifted(y + first + i, load16(q + i), scales[i / kGroup], mins[i / kGroup]);
      } else {
        store_scaled(y + first + i, load16(q + i), scales[i / kGroup]);
      }
    }
  }
}

__m128i bf16_of_floats(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i top = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(
      _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i quiet = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
  const __m256 is_nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
  const __m256i chosen = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(is_nan));
  return _mm_packus_epi32(low_half(chosen), high_half(chosen));
}

template <class Convert>
void encode_floats(const float* x, int64_t n, std::byte* data, const Convert& convert) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(data + 2 * i), convert(_mm256_loadu_ps(x + i)));
  }
  if (i == n) return;
  std::byte rest[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(rest),
                   convert(_mm256_maskload_ps(x + i, first_lanes(n - i))));
  std::memcpy(data + 2 * i, rest, static_cast<size_t>(n - i) * 2);
}

}  // namespace

void decode(DType dtype, const std::byte* data, int64_t n, float* y) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(y, data, static_cast<size_t>(n) * 4);
      return;
    case DType::kF16:
      return decode_floats<2>(data, n, y, [](const std::byte* at) { return floats_of_f16(at); });
    case DType::kBF16:
      return decode_floats<2>(data, n, y, [](const std::byte* at) { return floats_of_bf16(at); });
    case DType::kF8E4M3:
      return decode_floats<1>(data, n, y, [](const std::byte* at) { return floats_of_f8(at); });
    default:
      return decode_blocks(dtype, data, n, y);
  }
}

void encode(DType dtype, const float* x, int64_t n, std::byte* data) {
  if (dtype == DType::kF32) {
    std::memcpy(data, x, static_cast<size_t>(n) * 4);
  } else if (dtype == DType::kF16) {
    encode_floats(x, n, data, [](__m256 v) {
      return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    });
  } else {
    encode_floats(x, n, data, [](__m256 v) { return bf16_of_floats(v); });
  }
}

}  // namespace hachi::ops::cpu::avx2
