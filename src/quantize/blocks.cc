#include "quantize/blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/check.h"
#include "kernels/decode.h"
#include "kernels/unpack.h"
#include "quantize/encode.h"
#include "quantize/quantize_row.h"

namespace hachi::quantize {
namespace {

constexpr int kMaxElements = 256;

float made_finite(float x) {
  if (std::isnan(x)) return 0;
  return std::clamp(x, -kLargest, kLargest);
}

// Elements that no input touched while importance was measured still keep about their values.
constexpr float kLeastShare = 1e-3f;

// importance * sqrt(mean of x^2 + x^2), with the importance scaled to a largest of 1 so that no
// product leaves the range of f32.
void weigh(const float* x, const float* importance, int n, float* weights) {
  float sum = 0;
  for (int i = 0; i < n; ++i) sum += x[i] * x[i];
  const float mean = sum / static_cast<float>(n);
  // Values whose squares vanish round to 0 in every type, however they are weighed.
  constexpr float kSmallest = 1e-20f;
  for (int i = 0; i < n; ++i) weights[i] = std::sqrt(std::max(mean, kSmallest) + x[i] * x[i]);
  if (importance == nullptr) return;
  float shares[kMaxElements];
  float most = 0;
  for (int i = 0; i < n; ++i) {
    shares[i] = importance[i] > 0 ? std::min(importance[i], std::numeric_limits<float>::max()) : 0;
    most = std::max(most, shares[i]);
  }
  if (!(most > 0)) return;
  float mean_share = 0;
  for (int i = 0; i < n; ++i) {
    shares[i] /= most;
    mean_share += shares[i] / static_cast<float>(n);
  }
  for (int i = 0; i < n; ++i) weights[i] *= std::max(shares[i], kLeastShare * mean_share);
}

struct Row {
  const float* x;
  int64_t n;
  const float* importance;
  std::byte* out;
};

// Calls encode_block(x, importance, &block) for each block of finite values.
template <class Block, class EncodeBlock>
void each_block(const Row& row, int elements, const EncodeBlock& encode_block) {
  float x[kMaxElements];
  std::byte* out = row.out;
  for (int64_t first = 0; first < row.n; first += elements, out += sizeof(Block)) {
    for (int i = 0; i < elements; ++i) x[i] = made_finite(row.x[first + i]);
    Block block;
    encode_block(x, row.importance == nullptr ? nullptr : row.importance + first, &block);
    std::memcpy(out, &block, sizeof block);
  }
}

template <class Block>
void round_blocks(const Row& row) {
  each_block<Block>(row, 32,
                    [](const float* x, const float*, Block* block) { round_reference(x, block); });
}

template <class Block, int kElements>
void search_blocks(const Row& row, const SearchLoops& loops) {
  each_block<Block>(row, kElements, [&](const float* x, const float* importance, Block* block) {
    float weights[kMaxElements];
    weigh(x, importance, kElements, weights);
    encode({x, weights, loops}, block);
  });
}

// Types that keep the reference rounding where there is no importance.
template <class Block>
void round_or_search(const Row& row, const SearchLoops& loops) {
  return row.importance == nullptr ? round_blocks<Block>(row)
                                   : search_blocks<Block, 32>(row, loops);
}

}  // namespace

bool can_quantize(DType type) {
  return ops::is_block_type(type) || type == DType::kF32 || type == DType::kF16 ||
         type == DType::kBF16;
}

bool needs_importance(DType type) { return type == DType::kIQ2_XXS || type == DType::kIQ2_XS; }

void quantize_row(DType type, const float* x, int64_t n, const float* importance, std::byte* out) {
  quantize_row(type, x, n, importance, out, search_loops(ops::cpu_features()));
}

void quantize_row(DType type, const float* x, int64_t n, const float* importance, std::byte* out,
                  const SearchLoops& loops) {
  CHECK(can_quantize(type));
  CHECK_EQ(n % traits(type).block_size, 0);
  const Row row = {x, n, importance, out};
  switch (type) {
    case DType::kQ4_0:
      return round_or_search<ops::BlockQ4_0>(row, loops);
    case DType::kQ4_1:
      return round_or_search<ops::BlockQ4_1>(row, loops);
    case DType::kQ5_0:
      return round_or_search<ops::BlockQ5_0>(row, loops);
    case DType::kQ5_1:
      return round_or_search<ops::BlockQ5_1>(row, loops);
    case DType::kQ8_0:
      return round_blocks<ops::BlockQ8_0>(row);
    case DType::kQ2_K:
      return search_blocks<ops::BlockQ2_K, 256>(row, loops);
    case DType::kQ3_K:
      return search_blocks<ops::BlockQ3_K, 256>(row, loops);
    case DType::kQ4_K:
      return search_blocks<ops::BlockQ4_K, 256>(row, loops);
    case DType::kQ5_K:
      return search_blocks<ops::BlockQ5_K, 256>(row, loops);
    case DType::kQ6_K:
      return search_blocks<ops::BlockQ6_K, 256>(row, loops);
    case DType::kIQ4_NL:
      return search_blocks<ops::BlockIQ4_NL, 32>(row, loops);
    case DType::kIQ4_XS:
      return search_blocks<ops::BlockIQ4_XS, 256>(row, loops);
    case DType::kIQ3_S:
      return search_blocks<ops::BlockIQ3_S, 256>(row, loops);
    case DType::kIQ3_XXS:
      return search_blocks<ops::BlockIQ3_XXS, 256>(row, loops);
    case DType::kIQ2_S:
      return search_blocks<ops::BlockIQ2_S, 256>(row, loops);
    case DType::kIQ2_XS:
      return search_blocks<ops::BlockIQ2_XS, 256>(row, loops);
    case DType::kIQ2_XXS:
      return search_blocks<ops::BlockIQ2_XXS, 256>(row, loops);
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return ops::encode(type, x, n, out);
    case DType::kF8E4M3:
    case DType::kI32:
      break;
  }
  CHECK(false && "quantize_row: not a type to quantize to");
}

}  // namespace hachi::quantize
