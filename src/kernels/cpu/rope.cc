#include "kernels/rope.h"

#include <cmath>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/grain.h"
#include "kernels/cpu/select.h"

namespace hachi::ops::cpu {
namespace {

// Tokens a thread: a cosine and a sine in double precision cost far more than an element elsewhere.
constexpr int64_t kAngleRows = 4;

}  // namespace

void rope_angles(Context& ctx, Tensor cos_sin, std::span<const int32_t> positions,
                 std::span<const float> inv_freq, float magnitude) {
  const size_t half = inv_freq.size();
  ctx.pool->parallel_for(cos_sin.size(0), kAngleRows, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* out = cos_sin.row<float>(t);
      const float position = static_cast<float>(positions[static_cast<size_t>(t)]);
      for (size_t i = 0; i < half; ++i) {
        const double angle = position * inv_freq[i];
        out[i] = static_cast<float>(magnitude * std::cos(angle));
        out[half + i] = static_cast<float>(magnitude * std::sin(angle));
      }
    }
  });
}

void rope(Context& ctx, Tensor x, ConstTensor cos_sin, RopeLayout layout) {
  const InnerLoops& loops = inner_loops(ctx.features);
  const auto turn = layout == RopeLayout::kHalves ? loops.rope_halves : loops.rope_interleaved;
  const int64_t width = cos_sin.size(1);
  const int64_t half = width / 2;
  const int64_t together = cheap_rows(x.size(0), x.size(1), ctx.pool->num_threads());
  ctx.pool->parallel_for(x.size(0), together, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float* angles = cos_sin.row<float>(t);
      for (int64_t c = 0; c < x.size(1); c += width) {
        turn(x.row<float>(t) + c, angles, angles + half, half);
      }
    }
  });
}

}  // namespace hachi::ops::cpu
