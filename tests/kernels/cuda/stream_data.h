// Random matrices and operands for tests of products: on the GPU, and as the values that they hold.
#pragma once

#include <cmath>
#include <memory>
#include <random>

#include "device_array.h"
#include "kernels/cuda/stream_matmul.h"
#include "kernels/cuda/tile_format.h"
#include "kernels/half.h"

namespace hachi::ops::cuda {

using Random = std::mt19937;

inline std::vector<float> random_floats(Random& random, size_t count, float size) {
  std::uniform_real_distribution<float> distribution(-size, size);
  std::vector<float> values(count);
  for (float& v : values) v = distribution(random);
  return values;
}

// A matrix on the device, and its values.
struct TestMatrix {
  Matrix view;
  std::vector<double> values;  // [O,I]
  std::unique_ptr<DeviceArray<uint8_t>> data;
  std::unique_ptr<DeviceArray<float>> scales;
};

inline void fill_rows(TestMatrix& m, Random& random, std::vector<uint8_t>& bytes) {
  const size_t count = m.values.size();
  const bool f8 = m.view.layout == Layout::kF8;
  bytes.resize(count * (f8 ? 1 : 2));
  std::vector<float> scales;
  const auto inputs = static_cast<size_t>(m.view.inputs);
  const size_t blocks = (inputs + 127) / 128;
  if (f8) {
    const auto outputs = static_cast<size_t>(m.view.outputs);
    const size_t num_scales = m.view.span == ScaleSpan::kMatrix ? 1
                              : m.view.span == ScaleSpan::kRow  ? outputs
                                                                : (outputs + 127) / 128 * blocks;
    scales = random_floats(random, num_scales, 0.01f);
  }
  for (size_t i = 0; i < count; ++i) {
    if (!f8) {
      const uint16_t bits = f32_to_bf16(random_floats(random, 1, 0.05f)[0]);
      bytes[2 * i] = static_cast<uint8_t>(bits);
      bytes[2 * i + 1] = static_cast<uint8_t>(bits >> 8);
      m.values[i] = bf16_to_f32(bits);
      continue;
    }
    bytes[i] = static_cast<uint8_t>(random());
    if ((bytes[i] & 0x7f) == 0x7f) bytes[i] = 0;
    const size_t row = i / inputs;
    const size_t column = i % inputs;
    const size_t at = m.view.span == ScaleSpan::kMatrix ? 0
                      : m.view.span == ScaleSpan::kRow  ? row
                                                        : row / 128 * blocks + column / 128;
    m.values[i] = static_cast<double>(f8e4m3_to_f32(bytes[i])) * scales[at];
  }
  if (!f8) return;
  m.scales = std::make_unique<DeviceArray<float>>(scales);
  m.view.scales = m.scales->data();
}

inline void put_half(std::vector<uint8_t>& bytes, size_t at, uint16_t bits) {
  bytes[at] = static_cast<uint8_t>(bits);
  bytes[at + 1] = static_cast<uint8_t>(bits >> 8);
}

inline void fill_tiles(TestMatrix& m, Random& random, std::vector<uint8_t>& bytes) {
  const Layout layout = m.view.layout;
  const ChunkFormat format = chunk_format(layout);
  const int64_t inputs = m.view.inputs;
  const bool four = format.weight_bytes == 1024;
  const int span = kChunkColumns / format.scales_per_row;  // columns of a scale
  bytes.resize(static_cast<size_t>(m.view.outputs / 16 * (inputs / 128) * format.bytes()));
  for (int64_t row = 0; row < m.view.outputs; ++row) {
    float scale = 0;
    float min = 0;
    for (int64_t column = 0; column < inputs; ++column) {
      const int r = static_cast<int>(row % 16);
      const int c = static_cast<int>(column % 128);
      const auto chunk =
          static_cast<size_t>((row / 16 * (inputs / 128) + column / 128) * format.bytes());
      if (c % span == 0) {
        const uint16_t bits = f32_to_f16(random_floats(random, 1, 0.01f)[0]);
        put_half(bytes, chunk + static_cast<size_t>(scale_place(format, r, c / span)), bits);
        scale = f16_to_f32(bits);
        const uint16_t min_bits = f32_to_f16(random_floats(random, 1, 0.05f)[0]);
        if (format.has_mins) {
          put_half(bytes, chunk + static_cast<size_t>(min_place(format, r, c / span)), min_bits);
          min = f16_to_f32(min_bits);
        }
      }
      const WeightPlace place = weight_place(layout, r, c);
      const int q = four ? static_cast<int>(random() % 16) : static_cast<int>(random() % 255) - 127;
      uint8_t& byte = bytes[chunk + static_cast<size_t>(place.byte)];
      byte = static_cast<uint8_t>(four ? byte | q << place.shift : q);
      const int value = layout == Layout::kInt4 ? q - 8 : q;
      m.values[static_cast<size_t>(row * inputs + column)] =
          static_cast<double>(value) * scale + static_cast<double>(min);
    }
  }
}

inline TestMatrix make_matrix(Random& random, Layout layout, ScaleSpan span, int64_t outputs,
                              int64_t inputs) {
  TestMatrix m;
  m.view.layout = layout;
  m.view.span = span;
  m.view.outputs = outputs;
  m.view.inputs = inputs;
  m.values.resize(static_cast<size_t>(outputs * inputs));
  std::vector<uint8_t> bytes;
  if (chunk_format(layout).weight_bytes > 0)
    fill_tiles(m, random, bytes);
  else
    fill_rows(m, random, bytes);
  m.data = std::make_unique<DeviceArray<uint8_t>>(bytes);
  m.view.data = m.data->data();
  return m;
}

// An operand on the device and what it holds.
struct TestOperand {
  TestOperand(OperandType type, size_t count, bool squares)
      : rows(count * (type == OperandType::kBF16 ? 2 : 1)), groups(count / 32), sums(count / 32) {
    view.type = type;
    view.rows = rows.data();
    if (type == OperandType::kInt8) view.groups = groups.data();
    if (squares) view.squares = sums.data();
  }

  // As they are before they are multiplied by the rows' scales, if it has such.
  std::vector<double> values() const {
    const std::vector<uint8_t> bytes = rows.get();
    const std::vector<OperandGroup> all = groups.get();
    std::vector<double> result(all.size() * 32);
    for (size_t i = 0; i < result.size(); ++i) {
      if (view.type == OperandType::kInt8) {
        result[i] = static_cast<double>(static_cast<int8_t>(bytes[i])) * all[i / 32].scale;
      } else if (view.type == OperandType::kE4M3) {
        result[i] = f8e4m3_to_f32(bytes[i]);
      } else {
        result[i] = bf16_to_f32(static_cast<uint16_t>(bytes[2 * i] | bytes[2 * i + 1] << 8));
      }
    }
    return result;
  }

  DeviceArray<uint8_t> rows;
  DeviceArray<OperandGroup> groups;
  DeviceArray<float> sums;
  std::unique_ptr<DeviceArray<float>> scales;
  Operand view;
};

// An operand of e4m3, rows with a scale each.
inline std::unique_ptr<TestOperand> make_f8_operand(Random& random, int rows, int64_t inputs) {
  const size_t count = static_cast<size_t>(rows) * static_cast<size_t>(inputs);
  auto operand = std::make_unique<TestOperand>(OperandType::kE4M3, count, false);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(random());
    if ((byte & 0x7f) == 0x7f) byte = 0;
  }
  operand->rows.set(bytes);
  operand->scales =
      std::make_unique<DeviceArray<float>>(random_floats(random, static_cast<size_t>(rows), 0.1f));
  operand->view.scales = operand->scales->data();
  return operand;
}

// What an operand must hold for rows `x` times `norm`, to the bit; squares within rounding.
inline void expect_staged(const TestOperand& operand, const std::vector<float>& x,
                          const std::vector<float>& norm) {
  const std::vector<uint8_t> bytes = operand.rows.get();
  const std::vector<OperandGroup> groups = operand.groups.get();
  const std::vector<float> sums = operand.sums.get();
  for (size_t g = 0; g < x.size() / 32; ++g) {
    float staged[32];
    double squares = 0;
    float largest = 0;
    for (size_t i = 0; i < 32; ++i) {
      const float value = x[g * 32 + i];
      squares += static_cast<double>(value) * value;
      staged[i] = norm.empty() ? value : value * norm[(g * 32 + i) % norm.size()];
      largest = std::max(largest, std::abs(staged[i]));
    }
    int sum = 0;
    for (size_t i = 0; i < 32; ++i) {
      const size_t at = g * 32 + i;
      if (operand.view.type == OperandType::kInt8) {
        const int q =
            largest > 0 ? static_cast<int>(std::nearbyint(staged[i] * (127.0f / largest))) : 0;
        ASSERT_EQ(static_cast<int8_t>(bytes[at]), q) << "element " << at;
        sum += q;
      } else {
        ASSERT_EQ(bytes[2 * at] | bytes[2 * at + 1] << 8, f32_to_bf16(staged[i])) << at;
      }
    }
    if (operand.view.type == OperandType::kInt8) {
      ASSERT_EQ(groups[g].sum, sum) << "group " << g;
      ASSERT_EQ(groups[g].scale, largest / 127.0f) << "group " << g;
    }
    if (operand.view.squares != nullptr) {
      ASSERT_NEAR(sums[g], squares, 1e-6 * squares) << g;
    }
  }
}

}  // namespace hachi::ops::cuda
