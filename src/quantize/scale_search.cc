#include "quantize/scale_search.h"

#include <algorithm>
#include <cmath>

#include "kernels/half.h"
#include "quantize/encode.h"

namespace hachi::quantize {
namespace {

// Where the largest value lands, in units of the end of the alphabet: below 1 the alphabet is not
// used to its end, above 1 the value is cut off so that the others get finer steps.
constexpr float kReach[kCandidates] = {0.86f, 0.93f, 1.0f, 1.07f, 1.15f, 1.24f, 1.36f, 1.5f};
constexpr float kFar = 1.6f;
// The second look is around the best of the first.
constexpr float kNear[kCandidates] = {0.955f, 0.97f, 0.98f, 0.99f, 1.0f, 1.01f, 1.02f, 1.035f};
constexpr int kRounds = 3;  // how often the step of a block is fitted

// The best of the candidates replaces *fit if it is better than *gain, which is by how much the
// best so far lowers the error of all zeros.
void take_best(const Sums& sums, float* gain, ScaleFit* fit) {
  for (int j = 0; j < kCandidates; ++j) {
    if (!(sums.qq[j] > 0)) continue;
    const float candidate = sums.xq[j] * sums.xq[j] / sums.qq[j];
    if (candidate > *gain) {
      *gain = candidate;
      *fit = {sums.xq[j] / sums.qq[j], sums.qq[j]};
    }
  }
}

// One sub-block's choice under a given step, and the sums that the next step is fitted to.
struct Choice {
  int scale = 0;
  float qq = 0;
  float xq = 0;
  float change = 0;  // of the error against all zeros
};

Choice choose_scale(const SearchLoops& loops, const ScaledFormat& format, const Run& run, float d,
                    float wanted) {
  const auto lowest = static_cast<int>(format.scales.lowest());
  const auto highest = static_cast<int>(format.scales.highest());
  const int center = nearest_integer(wanted * inverse_of(d), lowest, highest);
  Candidates candidates{};
  int scales[kCandidates];
  for (int j = 0; j < kCandidates; ++j) {
    scales[j] = std::clamp(center + j - kCandidates / 2, lowest, highest);
    candidates.inverse[j] = inverse_of(d * static_cast<float>(scales[j]));
  }
  Sums sums;
  format.alphabet.sums(loops, run, candidates, &sums);
  Choice best;
  for (int j = 0; j < kCandidates; ++j) {
    const float scale = d * static_cast<float>(scales[j]);
    const float change = scale * (scale * sums.qq[j] - 2.0f * sums.xq[j]);
    if (change < best.change) best = {scales[j], sums.qq[j], sums.xq[j], change};
  }
  return best;
}

}  // namespace

float peak_of(const float* x, int n) {
  float peak = 0;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(peak)) peak = x[i];
  }
  return peak;
}

uint16_t step_f16(float d) {
  const uint16_t bits = ops::f32_to_f16(std::clamp(d, -kLargest, kLargest));
  const bool subnormal = (bits & 0x7c00u) == 0;
  const bool nearer_to_zero = std::fabs(ops::f16_to_f32(bits)) < std::fabs(d);
  return static_cast<uint16_t>(bits + (subnormal && nearer_to_zero ? 1 : 0));
}

ScaleFit best_scale(const SearchLoops& loops, const Alphabet& alphabet, const Run& run) {
  const float peak = peak_of(run.x, run.n);
  const float inverse = inverse_of(peak);
  ScaleFit fit;
  float gain = 0;
  if (inverse == 0) return fit;
  Candidates candidates{};
  Sums sums;
  // An alphabet without negatives is tried with more of the values cut off.
  const float other_end = alphabet.lowest() < 0 ? alphabet.lowest() : kFar * alphabet.highest();
  for (const float end : {alphabet.highest(), other_end}) {
    for (int j = 0; j < kCandidates; ++j) candidates.inverse[j] = end * kReach[j] * inverse;
    alphabet.sums(loops, run, candidates, &sums);
    take_best(sums, &gain, &fit);
  }
  const float best = inverse_of(fit.scale);
  for (int j = 0; j < kCandidates; ++j) candidates.inverse[j] = best * kNear[j];
  alphabet.sums(loops, run, candidates, &sums);
  take_best(sums, &gain, &fit);
  return fit;
}

float ScaledBlock::inverse(int s) const {
  return inverse_of(ops::f16_to_f32(d) * static_cast<float>(scales[s]));
}

ScaledBlock fit_scaled_block(const SearchLoops& loops, const ScaledFormat& format, const float* x,
                             const float* weights) {
  const int n = format.sub_block_size;
  float wanted[kMaxSubBlocks];
  float curvatures[kMaxSubBlocks];
  for (int s = 0; s < format.num_sub_blocks; ++s) {
    const ScaleFit fit = best_scale(loops, format.alphabet, {x + s * n, weights + s * n, n});
    wanted[s] = fit.scale;
    curvatures[s] = fit.curvature;
  }
  float d = best_scale(loops, format.scales, {wanted, curvatures, format.num_sub_blocks}).scale;

  ScaledBlock best;
  float best_change = 0;
  for (int round = 0; round < kRounds; ++round) {
    ScaledBlock block;
    block.d = step_f16(d);
    const float step = ops::f16_to_f32(block.d);
    float change = 0, numerator = 0, denominator = 0;
    for (int s = 0; s < format.num_sub_blocks; ++s) {
      const Run run = {x + s * n, weights + s * n, n};
      const Choice choice = choose_scale(loops, format, run, step, wanted[s]);
      const auto scale = static_cast<float>(choice.scale);
      block.scales[s] = choice.scale;
      change += choice.change;
      numerator += scale * choice.xq;
      denominator += scale * scale * choice.qq;
      if (choice.qq > 0) wanted[s] = choice.xq / choice.qq;
    }
    if (!(change < best_change)) break;
    best = block;
    best_change = change;
    d = numerator / denominator;
  }
  return best;
}

}  // namespace hachi::quantize
