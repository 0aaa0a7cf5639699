#include "kernels/rope.h"

#include <cmath>

#include "kernels/ref/ref.h"

namespace hachi::ops::ref {

void rope_angles(Context&, Tensor cos_sin, std::span<const int32_t> positions,
                 std::span<const float> inv_freq, float magnitude) {
  for (size_t t = 0; t < positions.size(); ++t) {
    float* out = cos_sin.row<float>(static_cast<int64_t>(t));
    for (size_t i = 0; i < inv_freq.size(); ++i) {
      const float angle = static_cast<float>(positions[t]) * inv_freq[i];
      out[i] = static_cast<float>(magnitude * std::cos(static_cast<double>(angle)));
      out[inv_freq.size() + i] =
          static_cast<float>(magnitude * std::sin(static_cast<double>(angle)));
    }
  }
}

void rope(Context&, Tensor x, ConstTensor cos_sin, RopeLayout layout) {
  const int64_t width = cos_sin.size(1);
  const int64_t half = width / 2;
  const bool halves = layout == RopeLayout::kHalves;
  for (int64_t t = 0; t < x.size(0); ++t) {
    const float* cosines = cos_sin.row<float>(t);
    const float* sines = cosines + half;
    for (int64_t head = 0; head < x.size(1) / width; ++head) {
      float* h = x.row<float>(t) + head * width;
      for (int64_t i = 0; i < half; ++i) {
        float& first = h[halves ? i : 2 * i];
        float& second = h[halves ? i + half : 2 * i + 1];
        const double a = first;
        const double b = second;
        first = static_cast<float>(a * cosines[i] - b * sines[i]);
        second = static_cast<float>(b * cosines[i] + a * sines[i]);
      }
    }
  }
}

}  // namespace hachi::ops::ref
