#include "kernels/cpu/avxvnni.h"
#include "kernels/cpu/pairs_avx2.h"
#include "kernels/cpu/panel_dot.h"

namespace hachi::ops::cpu::avxvnni {
namespace {

// As avx2::Pairs, with one instruction for the products of unsigned weights and signed activations,
// four at a time.
struct Vnni : avx2::Pairs {
  static constexpr bool kSigned = false;

  static Int from_signed(Int v) { return _mm256_xor_si256(v, _mm256_set1_epi8(-128)); }

  // sum += products of pairs of 16-bit integers
  static Int add_pairs(Int sum, Int a, Int b) { return _mm256_dpwssd_avx_epi32(sum, a, b); }

  // sums[n] += products of kWords words of weights with those of x, which lie kStride words apart.
  template <int kMax, int kWords, int kStride, int N>
  [[gnu::always_inline]] static void dot(Int* sums, const Int (*words)[kWords],
                                         const std::byte* x) {
    unroll<kWords>([&](auto i) __attribute__((always_inline)) {
      const Int four = broadcast(x + i * kStride * 4);
      unroll<N>([&](auto n) __attribute__((always_inline)) {
        sums[n] = _mm256_dpbusd_avx_epi32(sums[n], words[n][i], four);
      });
    });
  }
};

}  // namespace

void dot_panels(const PanelTile& tile) { dot_panels_with<Vnni>(tile); }

}  // namespace hachi::ops::cpu::avxvnni
