#include "model/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hachi::model {
namespace {

// The dimension (a fraction) whose wave turns `rotations` times over the original context.
double yarn_dimension(const RopeConfig& config, double head_dim, double rotations) {
  const double length = static_cast<double>(config.original_context);
  return head_dim * std::log(length / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(config.theta));
}

void scale_yarn(const RopeConfig& config, int64_t head_dim, std::vector<double>& frequencies) {
  const auto width = static_cast<double>(head_dim);
  double low = yarn_dimension(config, width, config.beta_fast);
  double high = yarn_dimension(config, width, config.beta_slow);
  if (config.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, width - 1);
  if (low == high) high += 0.001;  // as Transformers: no division by zero
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] * (1 - ramp) + frequencies[i] / config.factor * ramp;
  }
}

void scale_llama3(const RopeConfig& config, std::vector<double>& frequencies) {
  const double original = static_cast<double>(config.original_context);
  const double longest_kept = original / config.high_freq_factor;
  const double shortest_scaled = original / config.low_freq_factor;
  for (double& frequency : frequencies) {
    const double wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength < longest_kept) continue;
    if (wavelength > shortest_scaled) {
      frequency /= config.factor;
      continue;
    }
    const double smooth = (original / wavelength - config.low_freq_factor) /
                          (config.high_freq_factor - config.low_freq_factor);
    frequency = (1 - smooth) * frequency / config.factor + smooth * frequency;
  }
}

}  // namespace

std::vector<float> inverse_frequencies(const RopeConfig& config, int64_t head_dim) {
  std::vector<double> frequencies(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = 2 * static_cast<double>(i) / static_cast<double>(head_dim);
    frequencies[i] = std::pow(config.theta, -exponent);
  }
  switch (config.scaling) {
    case RopeScaling::kNone:
    case RopeScaling::kLongRope:
      break;
    case RopeScaling::kLinear:
      for (double& frequency : frequencies) frequency /= config.factor;
      break;
    case RopeScaling::kLlama3:
      scale_llama3(config, frequencies);
      break;
    case RopeScaling::kYarn:
      scale_yarn(config, head_dim, frequencies);
      break;
  }
  for (size_t i = 0; i < config.divisors.size(); ++i) {
    frequencies[i] /= static_cast<double>(config.divisors[i]);
  }
  return {frequencies.begin(), frequencies.end()};
}

double longrope_magnitude(double factor, double original) {
  return factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original));
}

double yarn_magnitude(double factor, double scale) {
  return factor <= 1 ? 1 : 0.1 * scale * std::log(factor) + 1;
}

}  // namespace hachi::model
