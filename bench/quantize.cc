// How fast floats become blocks, on one thread: megabytes of f32 a second, and what is lost, as the
// root mean square of the error over that of the values.
//
//   bench_quantize [--only TYPE] [--portable]
//
// Rows of 4096 normal values, with and without importance; the best of many runs.
#include <cmath>
#include <random>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/clock.h"
#include "kernels/decode.h"
#include "quantize/quantize_row.h"

namespace hachi::quantize {
namespace {

constexpr int64_t kRow = 4096;
constexpr double kSecondsPerRow = 0.4;

struct Options {
  std::string_view only;
  bool portable = false;
};

struct Input {
  std::vector<float> x, importance;
};

Input make_input() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0f, 0.02f);
  std::gamma_distribution<float> gamma(0.5f);
  Input input;
  for (int64_t i = 0; i < kRow; ++i) {
    input.x.push_back(normal(random));
    input.importance.push_back(gamma(random) + 1e-3f);
  }
  return input;
}

void bench(DType type, const Input& input, const float* importance, const SearchLoops& loops) {
  std::vector<std::byte> out(static_cast<size_t>(row_bytes(type, kRow)));
  double best = 1e30;
  const Stopwatch total;
  do {
    const Stopwatch watch;
    quantize_row(type, input.x.data(), kRow, importance, out.data(), loops);
    best = std::min(best, watch.seconds());
  } while (total.seconds() < kSecondsPerRow);
  std::vector<float> y(kRow);
  ops::decode(type, out.data(), kRow, y.data());
  double errors = 0, squares = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const double weight = importance == nullptr ? 1.0 : importance[i];
    errors += weight * std::pow(double{y[i]} - input.x[i], 2);
    squares += weight * std::pow(double{input.x[i]}, 2);
  }
  fmt::print("{:8} {:10} {:8.1f} MB/s   {:.4f}\n", name(type),
             importance == nullptr ? "" : "importance", kRow * 4 / best / 1e6,
             std::sqrt(errors / squares));
}

void run(const Options& options) {
  const Input input = make_input();
  const SearchLoops& loops =
      options.portable ? portable::kSearchLoops : search_loops(ops::cpu_features());
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto type = static_cast<DType>(i);
    if (!can_quantize(type) || traits(type).block_size == 1) continue;
    if (!options.only.empty() && options.only != name(type)) continue;
    bench(type, input, nullptr, loops);
    if (type != DType::kQ8_0) bench(type, input, input.importance.data(), loops);
  }
}

}  // namespace
}  // namespace hachi::quantize

int main(int argc, char** argv) {
  hachi::quantize::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--portable") {
      options.portable = true;
    } else if (argument == "--only" && i + 1 < argc) {
      options.only = argv[++i];
    } else {
      fmt::print(stderr, "usage: bench_quantize [--only TYPE] [--portable]\n");
      return 2;
    }
  }
  hachi::quantize::run(options);
}
