#include "cli/load_arrivals.h"

#include <cmath>
#include <numbers>

#include "core/random.h"

namespace hachi::cli {
namespace {

constexpr uint32_t kArrivalDraw = 4;  // prompts have the draws before under the same seed

}  // namespace

double Arrivals::next() {
  const double gamma = shape_ == 1 ? -std::log(uniform_draw()) : gamma_draw(shape_);
  return gamma / (shape_ * rate_);
}

// In (0, 1].
double Arrivals::uniform_draw() { return 1 - uniform(seed_, position_++, kArrivalDraw); }

// Box and Muller 1958.
double Arrivals::normal_draw() {
  const double radius = std::sqrt(-2 * std::log(uniform_draw()));
  return radius * std::cos(2 * std::numbers::pi * uniform_draw());
}

// Marsaglia and Tsang 2000, "A simple method for generating gamma variables"; a shape below 1 by
// their note on raising it by one.
double Arrivals::gamma_draw(double shape) {
  if (shape < 1) return gamma_draw(shape + 1) * std::pow(uniform_draw(), 1 / shape);
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal_draw();
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (std::log(uniform_draw()) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace hachi::cli
