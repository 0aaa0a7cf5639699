// When requests come that nobody coordinates.
#pragma once

#include <cstdint>

namespace hachi::cli {

// Times between arrivals, drawn from a gamma distribution with mean 1 / rate and shape
// `burstiness`: at 1 a Poisson process, below that burstier, above it more even. Both are above 0.
class Arrivals {
 public:
  Arrivals(double rate, double burstiness, uint64_t seed)
      : rate_(rate), shape_(burstiness), seed_(seed) {}

  // Seconds until the next request.
  double next();

 private:
  double uniform_draw();
  double normal_draw();
  double gamma_draw(double shape);

  double rate_;
  double shape_;
  uint64_t seed_;
  uint64_t position_ = 0;
};

}  // namespace hachi::cli
