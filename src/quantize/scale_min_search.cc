#include "quantize/scale_min_search.h"

#include <algorithm>
#include <cmath>

#include "kernels/half.h"
#include "quantize/encode.h"
#include "quantize/scale_search.h"

namespace hachi::quantize {
namespace {

constexpr int kRounds = 3;  // how often d and dmin are fitted

// First guesses: how far the lowest and the highest q stand inside the range of the values, in
// steps; below 0 outside of it.
struct Inset {
  float low, high;
};
constexpr int kNumInsets = 16;
constexpr Inset kInsets[kNumInsets] = {{0.0f, 0.0f},  {0.3f, 0.3f},  {-0.3f, -0.3f}, {0.6f, 0.6f},
                                       {0.0f, 0.6f},  {0.6f, 0.0f},  {0.9f, 0.3f},   {0.3f, 0.9f},
                                       {0.3f, -0.3f}, {-0.3f, 0.3f}, {0.0f, 0.3f},   {0.3f, 0.0f},
                                       {1.0f, 1.0f},  {1.2f, 0.0f},  {0.0f, 1.2f},   {1.4f, 1.4f}};

// Of weight, weight * x and weight * x^2.
struct Totals {
  float w = 0, x = 0, xx = 0;
};

Totals totals_of(const Run& run) {
  Totals totals;
  for (int i = 0; i < run.n; ++i) {
    const float wx = run.weights[i] * run.x[i];
    totals.w += run.weights[i];
    totals.x += wx;
    totals.xx += wx * run.x[i];
  }
  return totals;
}

// The error of scale * q - shift, for the integers that made the sums.
float error_of(const Totals& t, float scale, float shift, float q, float qq, float xq) {
  return t.xx + shift * (2.0f * t.x + shift * t.w) - 2.0f * scale * (xq + shift * q) +
         scale * scale * qq;
}

// The least-squares scales and shifts of the candidates' integers; they become the next candidates.
// Takes the best of them.
void fit_candidates(const Totals& t, MinSign sign, const Sums& sums, Candidates* candidates,
                    float* least, ScaleMinFit* best) {
  for (int j = 0; j < kCandidates; ++j) {
    const float q = sums.q[j];
    const float qq = sums.qq[j];
    const float xq = sums.xq[j];
    const float determinant = t.w * qq - q * q;
    float scale = (t.w * xq - q * t.x) / determinant;
    float shift = (q * xq - qq * t.x) / determinant;
    const bool all_same = !(determinant > 1e-6f * t.w * qq);
    if (all_same || (sign == MinSign::kNotPositive && shift < 0)) {
      scale = xq / qq;
      shift = 0;
    }
    if (!(scale > 0)) continue;  // also where qq is 0
    const float error = error_of(t, scale, shift, q, qq, xq);
    if (error < *least) {
      *least = error;
      *best = {scale, shift, q, qq, xq};
    }
    candidates->inverse[j] = inverse_of(scale);
    candidates->shift[j] = shift;
  }
}

// Under a step of the scales and one of the mins.
struct Choice {
  int scale = 0;
  int min = 0;
  float q = 0;
  float qq = 0;
  float xq = 0;
  float error = 0;
};

// Scales near the wanted one, each with the min that suits its integers; `fit` gives the integers
// to start from and takes those of the choice.
Choice choose(const SearchLoops& loops, const ScaleMinFormat& format, const Run& run,
              const Totals& t, float d, float dmin, ScaleMinFit* fit) {
  const int most = format.highest_scale;
  const int center = nearest_integer(fit->scale * inverse_of(d), 0, most);
  const float inverse_dmin = inverse_of(dmin);
  Choice best{.error = INFINITY};
  int scales[kCandidates], mins[kCandidates];
  Sums sums;
  std::fill_n(sums.q, kCandidates, fit->q);
  Candidates candidates{};
  for (int pass = 0; pass < 2; ++pass) {
    for (int j = 0; j < kCandidates; ++j) {
      scales[j] = std::clamp(center + j - kCandidates / 2, 0, most);
      const float scale = d * static_cast<float>(scales[j]);
      const float wanted = (scale * sums.q[j] - t.x) / t.w;
      mins[j] = nearest_integer(wanted * inverse_dmin, 0, most);
      candidates.inverse[j] = inverse_of(scale);
      candidates.shift[j] = dmin * static_cast<float>(mins[j]);
    }
    loops.sums_of_integers(run, candidates, 0.0f, static_cast<float>(format.highest), &sums);
    for (int j = 0; j < kCandidates; ++j) {
      const float error = error_of(t, d * static_cast<float>(scales[j]), candidates.shift[j],
                                   sums.q[j], sums.qq[j], sums.xq[j]);
      if (error < best.error) {
        best = {scales[j], mins[j], sums.q[j], sums.qq[j], sums.xq[j], error};
      }
    }
  }
  fit->q = best.q;
  fit->qq = best.qq;
  fit->xq = best.xq;
  return best;
}

// Least squares of d and dmin, all integers given.
struct StepFit {
  float dd = 0, dm = 0, mm = 0, xd = 0, xm = 0;

  void add(const Choice& c, const Totals& t) {
    const auto scale = static_cast<float>(c.scale);
    const auto min = static_cast<float>(c.min);
    dd += scale * scale * c.qq;
    dm += scale * min * c.q;
    mm += min * min * t.w;
    xd += scale * c.xq;
    xm += min * t.x;
  }
  void solve(float* d, float* dmin) const {
    const float determinant = dd * mm - dm * dm;
    if (determinant > 1e-6f * dd * mm) {
      *d = (mm * xd - dm * xm) / determinant;
      *dmin = (dm * xd - dd * xm) / determinant;
    } else if (dd > 0 && !(mm > 0)) {
      *d = xd / dd;
    } else if (mm > 0 && !(dd > 0)) {
      *dmin = -xm / mm;
    }
  }
};

void round_block(const ScaleMinFormat& format, const ScaleMinBlock& block, const float* x,
                 uint8_t* q) {
  const int n = format.sub_block_size;
  for (int s = 0; s < format.num_sub_blocks; ++s) {
    const float scale = ops::f16_to_f32(block.d) * static_cast<float>(block.scales[s]);
    const float shift = ops::f16_to_f32(block.dmin) * static_cast<float>(block.mins[s]);
    const float inverse = inverse_of(scale);
    for (int i = n * s; i < n * s + n; ++i) {
      q[i] = static_cast<uint8_t>(nearest_integer((x[i] + shift) * inverse, 0, format.highest));
    }
  }
}

}  // namespace

ScaleMinFit best_scale_and_min(const SearchLoops& loops, int highest, MinSign sign,
                               const Run& run) {
  float low = *std::min_element(run.x, run.x + run.n);
  const float high = *std::max_element(run.x, run.x + run.n);
  if (sign == MinSign::kNotPositive) low = std::min(low, 0.0f);
  const auto top = static_cast<float>(highest);
  const float step = (high - low) / top;
  const Totals t = totals_of(run);
  ScaleMinFit best{.shift = -t.x / t.w};  // all integers 0
  if (sign == MinSign::kNotPositive) best.shift = std::max(best.shift, 0.0f);
  if (inverse_of(step) == 0) return best;
  float least = error_of(t, 0, best.shift, 0, 0, 0);
  for (int first = 0; first < kNumInsets; first += kCandidates) {
    Candidates candidates;
    Sums sums;
    for (int j = 0; j < kCandidates; ++j) {
      const Inset& inset = kInsets[first + j];
      candidates.inverse[j] = top / (step * (top - inset.low - inset.high));
      candidates.shift[j] = -(low + step * inset.low);
    }
    for (int pass = 0; pass < 2; ++pass) {
      loops.sums_of_integers(run, candidates, 0.0f, top, &sums);
      fit_candidates(t, sign, sums, &candidates, &least, &best);
    }
  }
  return best;
}

ScaleMinBlock fit_scale_min_block(const SearchLoops& loops, const ScaleMinFormat& format,
                                  const float* x, const float* weights, uint8_t* q) {
  const int n = format.sub_block_size;
  const int count = format.num_sub_blocks;
  ScaleMinFit fits[kMaxSubBlocks];
  Totals totals[kMaxSubBlocks];
  float scales[kMaxSubBlocks], curvatures[kMaxSubBlocks];
  float shifts[kMaxSubBlocks], shift_curvatures[kMaxSubBlocks];
  for (int s = 0; s < count; ++s) {
    const Run run = {x + s * n, weights + s * n, n};
    fits[s] = best_scale_and_min(loops, format.highest, MinSign::kNotPositive, run);
    totals[s] = totals_of(run);
    scales[s] = fits[s].scale;
    curvatures[s] = fits[s].qq;
    shifts[s] = fits[s].shift;
    shift_curvatures[s] = totals[s].w;
  }
  const Alphabet integers(0, format.highest_scale);
  float d = best_scale(loops, integers, {scales, curvatures, count}).scale;
  float dmin = best_scale(loops, integers, {shifts, shift_curvatures, count}).scale;

  ScaleMinBlock best;
  float least = INFINITY;
  for (int round = 0; round < kRounds; ++round) {
    ScaleMinBlock block{.d = step_f16(std::max(d, 0.0f)), .dmin = step_f16(std::max(dmin, 0.0f))};
    float error = 0;
    StepFit steps;
    for (int s = 0; s < count; ++s) {
      const Run run = {x + s * n, weights + s * n, n};
      const Choice choice = choose(loops, format, run, totals[s], ops::f16_to_f32(block.d),
                                   ops::f16_to_f32(block.dmin), &fits[s]);
      block.scales[s] = choice.scale;
      block.mins[s] = choice.min;
      error += choice.error;
      steps.add(choice, totals[s]);
    }
    if (!(error < least)) break;
    best = block;
    least = error;
    steps.solve(&d, &dmin);
  }
  round_block(format, best, x, q);
  return best;
}

}  // namespace hachi::quantize
