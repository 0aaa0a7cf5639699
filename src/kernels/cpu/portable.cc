#include "kernels/cpu/portable.h"

#include <cmath>

namespace hachi::ops::cpu::portable {
namespace {

float sum_of_lanes(const float* l) {
  return ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
}

// lanes[j] += x[k] * w[k] for k % kLanes == j
void add_products(const float* x, const float* w, int64_t n, float* lanes) {
  int64_t k = 0;
  for (; k + kLanes <= n; k += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] += x[k + j] * w[k + j];
  }
  for (int64_t j = 0; k + j < n; ++j) lanes[j] += x[k + j] * w[k + j];
}

UnpackedRow row_of(const Int8Tile& tile, int64_t r) {
  const int64_t groups = tile.w_stride / kGroup;
  return {tile.w.q + r * tile.w_stride, tile.w.scales + r * groups, tile.w.mins + r * groups};
}

// 32 elements of a row of x and a row of w; w has two scales.
void add_block(const int8_t* x, const int8_t* w, float x_scale, const float* w_scales,
               float* lanes) {
  for (int64_t j = 0; j < kLanes; ++j) {
    int sum = 0;
    for (int64_t k = 4 * j; k < 4 * j + 4; ++k) sum += x[k] * w[k];
    lanes[j] += x_scale * w_scales[j / 4] * static_cast<float>(sum);
  }
}

}  // namespace

void dot_int8(const Int8Tile& tile, float* lanes) {
  for (int64_t i = 0; i < tile.num_x; ++i) {
    for (int64_t r = 0; r < tile.num_w; ++r) {
      const UnpackedRow w = row_of(tile, r);
      float* out = lanes + (i * tile.num_w + r) * kLanes;
      for (int64_t k = 0; k < tile.n; k += kInt8Block) {
        add_block(tile.x[i].q + k, w.q + k, tile.x[i].scales[k / kInt8Block], w.scales + k / kGroup,
                  out);
      }
    }
  }
}

void dot_lanes(const DotTile& tile, float* lanes) {
  for (int64_t i = 0; i < tile.num_x; ++i) {
    for (int64_t r = 0; r < tile.num_w; ++r) {
      add_products(tile.x[i], tile.w + r * tile.w_stride, tile.n,
                   lanes + (i * tile.num_w + r) * kLanes);
    }
  }
}

void sum_lanes(const float* lanes, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = sum_of_lanes(lanes + i * kLanes);
}

void rms_norm(float* y, const float* x, const float* w, int64_t n, float eps) {
  float lanes[kLanes] = {};
  add_products(x, x, n, lanes);
  const float mean = sum_of_lanes(lanes) / static_cast<float>(n);
  const float scale = 1.0f / std::sqrt(mean + eps);
  for (int64_t c = 0; c < n; ++c) y[c] = x[c] * scale * w[c];
}

void rope_halves(float* x, const float* cosines, const float* sines, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = a * cosines[i] - b * sines[i];
    x[i + half] = b * cosines[i] + a * sines[i];
  }
}

void rope_interleaved(float* x, const float* cosines, const float* sines, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = a * cosines[i] - b * sines[i];
    x[2 * i + 1] = b * cosines[i] + a * sines[i];
  }
}

void swiglu(float* y, const float* gate, const float* up, int64_t n) {
  for (int64_t f = 0; f < n; ++f) y[f] = gate[f] / (1.0f + std::exp(-gate[f])) * up[f];
}

void geglu(float* y, const float* gate, const float* up, int64_t n) {
  for (int64_t f = 0; f < n; ++f) {
    const float g = gate[f];
    const float minus_2u = g * (kGeluLinear + kGeluCubic * (g * g));
    y[f] = g / (1.0f + std::exp(minus_2u)) * up[f];
  }
}

}  // namespace hachi::ops::cpu::portable
