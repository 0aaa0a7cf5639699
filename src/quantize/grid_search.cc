#include "quantize/grid_search.h"

#include <algorithm>

namespace hachi::quantize {

template <size_t kLevels, size_t kElements>
GridSearch<kLevels, kElements>::GridSearch(const std::array<int8_t, kElements>* grid, size_t size,
                                           const std::array<int8_t, kLevels>& levels)
    : grid_(grid),
      levels_(make_levels(levels)),
      index_(kNumbers, -1),
      neighbors_(kNumbers * kNeighbors) {
  std::vector<Halves> points(size);
  for (size_t p = 0; p < size; ++p) {
    size_t number = 0;
    for (size_t i = kElements; i-- > 0;) {
      const auto* digit = std::find(levels.begin(), levels.end(), grid[p][i]);
      number = number * kLevels + static_cast<size_t>(digit - levels.begin());
    }
    index_[number] = static_cast<int16_t>(p);
    points[p] = {static_cast<uint8_t>(number % kHalf), static_cast<uint8_t>(number / kHalf)};
  }
  list_neighbors(points);
}

template <size_t kLevels, size_t kElements>
void GridSearch<kLevels, kElements>::list_neighbors(const std::vector<Halves>& points) {
  // Squared distances of the halves, in units of the levels.
  std::vector<uint32_t> distances(kHalf * kHalf);
  for (size_t a = 0; a < kHalf; ++a) {
    for (size_t b = 0; b < kHalf; ++b) {
      float sum = 0;
      for (size_t i = 0, x = a, y = b; i < kHalfDigits; ++i, x /= kLevels, y /= kLevels) {
        const float difference = levels_.values[x % kLevels] - levels_.values[y % kLevels];
        sum += difference * difference;
      }
      distances[a * kHalf + b] = static_cast<uint32_t>(sum);
    }
  }
  struct Near {
    uint32_t distance;
    uint32_t point;
    bool operator<(const Near& other) const {
      return distance != other.distance ? distance < other.distance : point < other.point;
    }
  };
  std::vector<Near> near(points.size());
  for (size_t number = 0; number < kNumbers; ++number) {
    if (index_[number] >= 0) continue;
    const uint32_t* low = &distances[number % kHalf * kHalf];
    const uint32_t* high = &distances[number / kHalf * kHalf];
    for (size_t p = 0; p < points.size(); ++p) {
      near[p] = {low[points[p].low] + high[points[p].high], static_cast<uint32_t>(p)};
    }
    std::nth_element(near.begin(), near.begin() + kNeighbors - 1, near.end());
    for (size_t k = 0; k < kNeighbors; ++k) {
      neighbors_[number * kNeighbors + k] = points[near[k].point];
    }
  }
}

// What each number of half the digits costs, less the part that is the same for all.
template <size_t kLevels, size_t kElements>
void GridSearch<kLevels, kElements>::cost_table(const float* x, const float* weights, float scale,
                                                float* table) const {
  table[0] = 0;
  size_t size = 1;
  for (size_t i = 0; i < kHalfDigits; ++i, size *= kLevels) {
    for (size_t k = kLevels; k-- > 0;) {
      const float y = scale * levels_.values[k];
      const float cost = weights[i] * y * (y - 2.0f * x[i]);
      for (size_t rest = 0; rest < size; ++rest) table[k * size + rest] = table[rest] + cost;
    }
  }
}

template <size_t kLevels, size_t kElements>
int GridSearch<kLevels, kElements>::nearest(const float* x, const float* weights,
                                            float scale) const {
  const float inverse = 1.0f / scale;
  size_t number = 0;
  for (size_t i = kElements; i-- > 0;) {
    const float v = x[i] * inverse;
    size_t digit = 0;
    for (size_t k = 0; k + 1 < kLevels; ++k) {
      digit += static_cast<size_t>(v > levels_.borders[k]);
    }
    number = number * kLevels + digit;
  }
  if (index_[number] >= 0) return index_[number];
  float low[kHalf];
  float high[kHalf];
  cost_table(x, weights, scale, low);
  cost_table(x + kHalfDigits, weights + kHalfDigits, scale, high);
  const Halves* neighbors = &neighbors_[number * kNeighbors];
  Halves best = neighbors[0];
  float least = low[best.low] + high[best.high];
  for (size_t k = 1; k < kNeighbors; ++k) {
    const float cost = low[neighbors[k].low] + high[neighbors[k].high];
    if (cost < least) {
      least = cost;
      best = neighbors[k];
    }
  }
  return index_[best.low + best.high * kHalf];
}

template class GridSearch<3, 8>;
template class GridSearch<8, 4>;

}  // namespace hachi::quantize
