#include "kernels/cuda/small_testing.cuh"

namespace hachi::ops::cuda {
namespace {

using testing::activated;
using testing::DeviceArray;
using testing::expect_rows;
using testing::kShapes;
using testing::Matrix2;
using testing::random_floats;
using testing::rows_of;
using testing::Shape;
using Bf16 = __nv_bfloat16;

template <class Y, class X>
void check_rms_norm(const Shape& shape, int64_t heads) {
  SCOPED_TRACE(fmt::format("{} x {} x {} + {}", shape.rows, heads, shape.width, shape.pad));
  const int64_t all = heads * shape.width;
  Matrix2<X> x(shape.rows, all, shape.pad, 1);
  const std::vector<float> weight = random_floats(static_cast<size_t>(shape.width), 2);
  const DeviceArray<X> dx(x.host);
  const DeviceArray<float> dw(weight);
  const int64_t y_stride = all + shape.pad;
  const DeviceArray<Y> dy(static_cast<size_t>(shape.rows * y_stride));
  constexpr float kEps = 1e-3f;
  rms_norm(nullptr, rows_of(dy, y_stride), rows_of(dx, x.stride), dw.data(), kEps, shape.rows,
           heads, shape.width);
  std::vector<double> inverse;
  for (int64_t r = 0; r < shape.rows; ++r) {
    for (int64_t h = 0; h < heads; ++h) {
      double squares = 0;
      for (int64_t c = 0; c < shape.width; ++c) {
        squares += std::pow(x.value(r, h * shape.width + c), 2);
      }
      inverse.push_back(1 / std::sqrt(squares / static_cast<double>(shape.width) + kEps));
    }
  }
  expect_rows(dy.read(), shape.rows, all, y_stride, 1e-6, [&](int64_t r, int64_t c) {
    return x.value(r, c) * inverse[static_cast<size_t>(r * heads + c / shape.width)] *
           weight[static_cast<size_t>(c % shape.width)];
  });
  dx.read();
}

TEST(CudaRmsNorm, MatchesSumsInDouble) {
  for (const Shape& shape : kShapes) {
    check_rms_norm<float, float>(shape, 1);
    check_rms_norm<Bf16, float>(shape, 1);
    check_rms_norm<Bf16, Bf16>(shape, 1);
    check_rms_norm<float, Bf16>(shape, 1);
  }
  check_rms_norm<Bf16, Bf16>({37, 128, 64}, 5);
  check_rms_norm<float, float>({3, 80, 5}, 3);
  check_rms_norm<float, float>({3, 512, 8}, 2);
}

TEST(CudaRmsNorm, MayOverwriteItsInput) {
  for (const int64_t width : {128, 4096, 9000}) {
    const std::vector<float> x = random_floats(static_cast<size_t>(3 * width), 3);
    const DeviceArray<float> dx(x);
    const DeviceArray<float> dy(x.size());
    const DeviceArray<float> dw(random_floats(static_cast<size_t>(width), 4));
    rms_norm(nullptr, rows_of(dy, width), rows_of(dx, width), dw.data(), 1e-6f, 3, 1, width);
    rms_norm(nullptr, rows_of(dx, width), rows_of(dx, width), dw.data(), 1e-6f, 3, 1, width);
    EXPECT_EQ(dx.read(), dy.read());
  }
}

// The same bits wherever a row lies and whatever lies beside it.
TEST(CudaRmsNorm, DependsOnTheRowAlone) {
  for (const int64_t width : {128, 1000, 4096, 9000}) {
    const std::vector<float> x = random_floats(static_cast<size_t>(5 * width), 5);
    const std::vector<float> last(x.end() - width, x.end());
    const DeviceArray<float> all(x);
    const DeviceArray<float> moved(last, 1);
    const DeviceArray<float> dw(random_floats(static_cast<size_t>(width), 6));
    const DeviceArray<float> y_all(x.size());
    const DeviceArray<float> y_moved(last.size(), 1);
    rms_norm(nullptr, rows_of(y_all, width), rows_of(all, width), dw.data(), 1e-6f, 5, 1, width);
    rms_norm(nullptr, rows_of(y_moved, width), rows_of(moved, width), dw.data(), 1e-6f, 1, 1,
             width);
    const std::vector<float> from_all = y_all.read();
    EXPECT_EQ(std::vector<float>(from_all.end() - width, from_all.end()), y_moved.read());
  }
}

// What quantized rows must stand for: row r, column c.
template <class Expected>
void expect_quantized(const std::vector<uint8_t>& q, const std::vector<float>& scales,
                      const Quantized& to, int64_t rows, int64_t width, Expected expected) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < width; ++c) {
      double most = 0;
      const int64_t first = to.span == ScaleSpan::kRow ? 0 : c / 128 * 128;
      const int64_t end = to.span == ScaleSpan::kRow ? width : std::min(first + 128, width);
      if (c == first) {
        for (int64_t i = first; i < end; ++i) most = std::max(most, std::abs(expected(r, i)));
      }
      double scale = scales[0];
      if (to.span == ScaleSpan::kRow) scale = scales[static_cast<size_t>(r)];
      if (to.span == ScaleSpan::kBlock128) {
        scale = scales[static_cast<size_t>(c / 128 * to.scale_stride + r)];
      }
      if (c == first && to.span != ScaleSpan::kMatrix) {
        ASSERT_NEAR(scale, std::max(most, 1e-12) / 448, scale * 3e-6) << r << ", " << c;
      }
      __nv_fp8_e4m3 value;
      value.__x = q[static_cast<size_t>(r * width + c)];
      const double right = std::clamp(expected(r, c), -448 * scale, 448 * scale);
      ASSERT_NEAR(static_cast<float>(value) * scale, right,
                  std::abs(right) * (1.0 / 16 + 1e-5) + scale / 1024 * 1.01)
          << "row " << r << ", column " << c;
    }
  }
}

template <class Quantize, class Expected>
void check_quantized(int64_t rows, int64_t width, Quantize quantize, Expected expected) {
  const int64_t padded = (rows + 3) / 4 * 4;
  const int64_t groups = (width + 127) / 128;
  const DeviceArray<uint8_t> q(static_cast<size_t>(rows * width));
  const DeviceArray<float> row_scales(static_cast<size_t>(rows));
  const DeviceArray<float> block_scales(static_cast<size_t>(groups * padded));
  const DeviceArray<float> one_scale(std::vector<float>{0.01f});
  for (const Quantized& to :
       {Quantized{q.data(), row_scales.data(), ScaleSpan::kRow, 0},
        Quantized{q.data(), block_scales.data(), ScaleSpan::kBlock128, padded},
        Quantized{q.data(), one_scale.data(), ScaleSpan::kMatrix, 0}}) {
    SCOPED_TRACE(fmt::format("span {}", static_cast<int>(to.span)));
    quantize(to);
    const auto& scales = to.span == ScaleSpan::kRow        ? row_scales
                         : to.span == ScaleSpan::kBlock128 ? block_scales
                                                           : one_scale;
    expect_quantized(q.read(), scales.read(), to, rows, width, expected);
  }
}

template <class X>
void check_quantize_rows(const Shape& shape, bool normed) {
  SCOPED_TRACE(fmt::format("{} x {} + {}, {}", shape.rows, shape.width, shape.pad, normed));
  Matrix2<X> x(shape.rows, shape.width, shape.pad, 11);
  if (shape.rows > 2) {
    for (int64_t c = 0; c < shape.width; ++c) x.at(1, c) = X(0);
  }
  const std::vector<float> weight = random_floats(static_cast<size_t>(shape.width), 12);
  const DeviceArray<X> dx(x.host);
  const DeviceArray<float> dw(weight);
  std::vector<double> inverse;
  for (int64_t r = 0; r < shape.rows; ++r) {
    double squares = 0;
    for (int64_t c = 0; c < shape.width; ++c) squares += x.value(r, c) * x.value(r, c);
    inverse.push_back(1 / std::sqrt(squares / static_cast<double>(shape.width) + 1e-6));
  }
  check_quantized(
      shape.rows, shape.width,
      [&](const Quantized& to) {
        quantize_rows(nullptr, to, rows_of(dx, x.stride), normed ? dw.data() : nullptr, 1e-6f,
                      shape.rows, shape.width);
      },
      [&](int64_t r, int64_t c) {
        const double factor = inverse[static_cast<size_t>(r)] * weight[static_cast<size_t>(c)];
        return x.value(r, c) * (normed ? factor : 1);
      });
}

TEST(CudaQuantize, KeepsRowsWithinAStepOfE4m3) {
  for (const Shape& shape : kShapes) {
    for (const bool normed : {false, true}) {
      check_quantize_rows<float>(shape, normed);
      check_quantize_rows<Bf16>(shape, normed);
    }
  }
}

TEST(CudaQuantize, GatesOnTheWay) {
  for (const Shape& shape : kShapes) {
    for (const bool gelu : {false, true}) {
      SCOPED_TRACE(fmt::format("{} x {} + {}", shape.rows, shape.width, shape.pad));
      Matrix2<Bf16> x(shape.rows, 2 * shape.width, shape.pad, 13);
      const DeviceArray<Bf16> dx(x.host);
      check_quantized(
          shape.rows, shape.width,
          [&](const Quantized& to) {
            quantize_gated(nullptr, to, rows_of(dx, x.stride), gelu, shape.rows, shape.width);
          },
          [&](int64_t r, int64_t c) {
            return activated(x.value(r, c), gelu) * x.value(r, shape.width + c);
          });
    }
  }
}

}  // namespace
}  // namespace hachi::ops::cuda
