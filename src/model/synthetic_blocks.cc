#include "model/synthetic_blocks.h"

#include <cmath>
#include <cstring>
#include <span>

#include "core/random.h"
#include "kernels/decode.h"
#include "kernels/half.h"

namespace hachi::model {
namespace {

// Where the f16 factors of a block stand. A value is d * (something) + m, or - dmin: the second
// factor is `ratio` times d, so that the mean is zero.
struct Factors {
  DType dtype;
  int d;
  int second;  // -1: none
  float ratio;
};

constexpr Factors kFactors[] = {
    {DType::kQ4_1, 0, 2, -7.5f}, {DType::kQ5_1, 0, 2, -15.5f}, {DType::kQ2_K, 80, 82, 1.5f},
    {DType::kQ3_K, 108, -1, 0},  {DType::kQ4_K, 0, 2, 7.5f},   {DType::kQ5_K, 0, 2, 15.5f},
    {DType::kQ6_K, 208, -1, 0},
};

// All other block types begin with d and have no second factor.
Factors factors_of(DType dtype) {
  for (const Factors& factors : kFactors) {
    if (factors.dtype == dtype) return factors;
  }
  return {dtype, 0, -1, 0};
}

std::vector<std::byte> random_bytes(size_t count) {
  std::vector<std::byte> bytes((count + 15) / 16 * 16);
  for (size_t i = 0; i < bytes.size(); i += 16) {
    const auto words = philox4x32({static_cast<uint32_t>(i), 0, 0, 0}, {1, 0});
    std::memcpy(&bytes[i], words.data(), 16);
  }
  bytes.resize(count);
  return bytes;
}

void put_f16(std::byte* at, float value) {
  const uint16_t bits = ops::f32_to_f16(value);
  std::memcpy(at, &bits, sizeof bits);
}

void set_factors(std::span<std::byte> blocks, const Factors& factors, float d) {
  const auto block_bytes = static_cast<size_t>(traits(factors.dtype).block_bytes);
  for (size_t at = 0; at < blocks.size(); at += block_bytes) {
    // Blocks differ by a fifth, so that no two factors need be equal.
    const float varied = d * (0.8f + 0.4f * static_cast<float>(at / block_bytes % 64) / 63);
    put_f16(&blocks[at + static_cast<size_t>(factors.d)], varied);
    if (factors.second >= 0) {
      put_f16(&blocks[at + static_cast<size_t>(factors.second)], varied * factors.ratio);
    }
  }
}

float deviation(DType dtype, std::span<const std::byte> blocks) {
  const int64_t count =
      static_cast<int64_t>(blocks.size()) / traits(dtype).block_bytes * traits(dtype).block_size;
  std::vector<float> values(static_cast<size_t>(count));
  ops::decode(dtype, blocks.data(), count, values.data());
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  return static_cast<float>(std::sqrt(squares / static_cast<double>(count)));
}

std::vector<std::byte> random_floats(DType dtype) {
  const auto count = static_cast<int64_t>(kPatternBytes / 4);
  std::vector<float> values(kPatternBytes / 4);
  const std::vector<std::byte> bytes = random_bytes(kPatternBytes);
  for (size_t i = 0; i < values.size(); ++i) {
    // Uniform in +-sqrt(3) deviations.
    int32_t word = 0;
    std::memcpy(&word, &bytes[4 * i], sizeof word);
    values[i] = kSyntheticDeviation * 1.732f * static_cast<float>(word) * 0x1p-31f;
  }
  std::vector<std::byte> encoded(static_cast<size_t>(row_bytes(dtype, count)));
  ops::encode(dtype, values.data(), count, encoded.data());
  return encoded;
}

// Exponents of 2^-2 to 2^1: no subnormals, no NaN.
std::vector<std::byte> random_f8() {
  std::vector<std::byte> bytes = random_bytes(kPatternBytes);
  for (std::byte& byte : bytes) byte = (byte & std::byte{0x9f}) | std::byte{0x20};
  return bytes;
}

}  // namespace

std::vector<std::byte> random_blocks(DType dtype) {
  if (dtype == DType::kF8E4M3) return random_f8();
  if (traits(dtype).block_size == 1) return random_floats(dtype);
  const auto block_bytes = static_cast<size_t>(traits(dtype).block_bytes);
  std::vector<std::byte> blocks = random_bytes(kPatternBytes / block_bytes * block_bytes);
  const Factors factors = factors_of(dtype);
  // A value is a multiple of d: one that is known shows which d gives the deviation wanted.
  constexpr float kTrial = 0x1p-6f;
  set_factors(blocks, factors, kTrial);
  const std::span<const std::byte> sample(blocks.data(),
                                          blocks.size() / 16 / block_bytes * block_bytes);
  set_factors(blocks, factors, kTrial * kSyntheticDeviation / deviation(dtype, sample));
  return blocks;
}

}  // namespace hachi::model
