#include "kernels/cpu/limits.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/buffer.h"
#include "core/clock.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hachi::ops {
namespace {

constexpr int kSamples = 12;
constexpr int64_t kCacheLine = 64;

// Median and best of `work` a second over kSamples runs of `body`, after one to warm up.
template <class Body>
Rate sample(double work, std::string_view how, const Body& body) {
  std::vector<double> rates;
  body();
  for (int i = 0; i < kSamples; ++i) {
    const Stopwatch watch;
    body();
    rates.push_back(work / watch.seconds());
  }
  std::sort(rates.begin(), rates.end());
  return {rates.back(), rates[rates.size() / 2], how};
}

// Two sums, so that few loads wait for an addition.
uint64_t sum_words(const std::byte* data, int64_t bytes) {
  using Line = uint64_t __attribute__((vector_size(kCacheLine)));
  Line even = {};
  Line odd = {};
  for (int64_t i = 0; i < bytes; i += 2 * kCacheLine) {
    even += *reinterpret_cast<const Line*>(data + i);
    odd += *reinterpret_cast<const Line*>(data + i + kCacheLine);
  }
  even += odd;
  uint64_t total = 0;
  for (int64_t i = 0; i < kCacheLine / 8; ++i) total += even[i];
  return total;
}

Result<Rate> read_rate(ThreadPool& pool) {
  TRY(const Buffer buffer, Buffer::allocate(kReadProbeBytes));
  std::memset(buffer.data(), 1, kReadProbeBytes);  // untouched pages are all one page of zeros
  const auto bytes = static_cast<int64_t>(kReadProbeBytes);
  return sample(static_cast<double>(bytes), "plain loads", [&] {
    pool.parallel_for(bytes, 2 * kCacheLine, [&](int64_t begin, int64_t end) {
      volatile uint64_t sink = 0;
      sink = sink + sum_words(buffer.data() + begin, end - begin);
    });
  });
}

#if defined(__x86_64__)

// The loops below run a product on kChains independent sums: enough to hide its latency, few enough
// for the registers. `asm volatile` makes the operand new in each round, for all that the compiler
// knows, so that nothing is computed once for all rounds.
constexpr int64_t kRounds = 1'000'000;

struct Probe {
  void (*run)();
  double operations;  // of one run
  std::string_view how;
};

__attribute__((target("avx2,fma"))) void float32_avx2() {
  __m256 sums[12];
  for (__m256& sum : sums) sum = _mm256_setzero_ps();
  __m256 a = _mm256_set1_ps(0.5f);
  for (int64_t i = 0; i < kRounds; ++i) {
    asm volatile("" : "+x"(a));
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(a, a, sum);
  }
  volatile float sink = 0;
  for (const __m256& sum : sums) sink = sink + _mm256_cvtss_f32(sum);
}

__attribute__((target("avx512f"))) void float32_avx512() {
  __m512 sums[16];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  __m512 a = _mm512_set1_ps(0.5f);
  for (int64_t i = 0; i < kRounds; ++i) {
    asm volatile("" : "+v"(a));
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(a, a, sum);
  }
  volatile float sink = 0;
  for (const __m512& sum : sums) sink = sink + _mm512_cvtss_f32(sum);
}

// Without a dot-product instruction: four products of 4-bit weights fit into 16 bits before they
// have to be widened, which is the fastest known way.
__attribute__((target("avx2"))) void int8_avx2() {
  __m256i sums[4];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  __m256i a = _mm256_set1_epi8(3);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t i = 0; i < kRounds; ++i) {
    for (__m256i& sum : sums) {
      __m256i pairs[4];
      for (__m256i& pair : pairs) {
        asm volatile("" : "+x"(a));
        pair = _mm256_maddubs_epi16(a, a);
      }
      const __m256i all = _mm256_add_epi16(_mm256_add_epi16(pairs[0], pairs[1]),
                                           _mm256_add_epi16(pairs[2], pairs[3]));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(all, ones));
    }
  }
  volatile int sink = 0;
  for (const __m256i& sum : sums) sink = sink + _mm256_extract_epi32(sum, 0);
}

__attribute__((target("avx2,avxvnni"))) void int8_avx_vnni() {
  __m256i sums[12];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  __m256i a = _mm256_set1_epi8(3);
  for (int64_t i = 0; i < kRounds; ++i) {
    asm volatile("" : "+x"(a));
    for (__m256i& sum : sums) sum = _mm256_dpbusd_avx_epi32(sum, a, a);
  }
  volatile int sink = 0;
  for (const __m256i& sum : sums) sink = sink + _mm256_extract_epi32(sum, 0);
}

__attribute__((target("avx512f,avx512vnni"))) void int8_avx512() {
  __m512i sums[16];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  __m512i a = _mm512_set1_epi8(3);
  for (int64_t i = 0; i < kRounds; ++i) {
    asm volatile("" : "+v"(a));
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, a);
  }
  volatile int sink = 0;
  for (const __m512i& sum : sums) sink = sink + _mm512_cvtsi512_si32(sum);
}

constexpr double kRoundsF = static_cast<double>(kRounds);

Probe float32_probe(const CpuFeatures& features) {
  if (features.avx512) return {float32_avx512, kRoundsF * 16 * 16 * 2, "AVX-512"};
  if (features.avx2) return {float32_avx2, kRoundsF * 12 * 8 * 2, "AVX2"};
  return {};
}

Probe int8_probe(const CpuFeatures& features) {
  if (features.avx512) return {int8_avx512, kRoundsF * 16 * 64 * 2, "AVX-512 VNNI"};
  if (features.avx_vnni) return {int8_avx_vnni, kRoundsF * 12 * 32 * 2, "AVX-VNNI"};
  if (features.avx2) return {int8_avx2, kRoundsF * 4 * 4 * 32 * 2, "AVX2"};
  return {};
}

Rate run(ThreadPool& pool, const Probe& probe) {
  if (probe.run == nullptr) return {};
  return sample(probe.operations * pool.num_threads(), probe.how, [&] {
    pool.parallel_for(pool.num_threads(), 1, [&](int64_t begin, int64_t end) {
      for (; begin < end; ++begin) probe.run();
    });
  });
}

#endif

}  // namespace

Result<Limits> measure_limits(ThreadPool& pool, [[maybe_unused]] const CpuFeatures& features) {
  Limits limits;
  TRY(limits.read, read_rate(pool));
#if defined(__x86_64__)
  limits.int8 = run(pool, int8_probe(features));
  limits.float32 = run(pool, float32_probe(features));
#endif
  return limits;
}

}  // namespace hachi::ops
