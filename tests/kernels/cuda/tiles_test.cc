// Packing on the GPU against unpack_block.h: what a packed matrix holds, read back as bf16.
#include "kernels/cuda/tiles.h"

#include <cstring>
#include <random>

#include "device_array.h"
#include "kernels/half.h"
#include "kernels/unpack_block.h"

namespace hachi::ops::cuda {
namespace {

// Random blocks and their values, with the scales that the layout has.
struct Source {
  std::vector<uint8_t> bytes;
  std::vector<float> values;
};

template <class Block>
Source random_source(std::mt19937& random, int64_t count, int block_size, bool f16_scales) {
  Source source;
  source.bytes.resize(static_cast<size_t>(count / block_size) * sizeof(Block));
  for (uint8_t& byte : source.bytes) byte = static_cast<uint8_t>(random());
  for (size_t at = 0; at < source.bytes.size(); at += sizeof(Block)) {
    Block block;
    std::memcpy(&block, source.bytes.data() + at, sizeof block);
    const auto half = [&] {
      return f32_to_f16(static_cast<float>(random() % 1000 + 1) * (random() % 2 ? 1e-5f : -1e-5f));
    };
    block.d = half();
    if constexpr (requires { block.m; }) block.m = half();
    if constexpr (requires { block.dmin; }) block.dmin = half();
    std::memcpy(source.bytes.data() + at, &block, sizeof block);
    int8_t q[256];
    float scales[16];
    float mins[16] = {};
    unpack_block(block, q, scales, mins);
    for (int i = 0; i < block_size; ++i) {
      const float scale = f16_scales ? f16_to_f32(f32_to_f16(scales[i / 16])) : scales[i / 16];
      const float min = f16_scales ? f16_to_f32(f32_to_f16(mins[i / 16])) : mins[i / 16];
      const float product = scale * static_cast<float>(q[i]);
      source.values.push_back(product + min);
    }
  }
  return source;
}

Source random_source(std::mt19937& random, DType dtype, int64_t count, bool f16_scales) {
  const int size = dtype <= DType::kQ8_0 || dtype == DType::kIQ4_NL ? 32 : 256;
  switch (dtype) {
    case DType::kQ4_0:
      return random_source<BlockQ4_0>(random, count, size, f16_scales);
    case DType::kQ4_1:
      return random_source<BlockQ4_1>(random, count, size, f16_scales);
    case DType::kQ5_0:
      return random_source<BlockQ5_0>(random, count, size, f16_scales);
    case DType::kQ5_1:
      return random_source<BlockQ5_1>(random, count, size, f16_scales);
    case DType::kQ8_0:
      return random_source<BlockQ8_0>(random, count, size, f16_scales);
    case DType::kQ2_K:
      return random_source<BlockQ2_K>(random, count, size, f16_scales);
    case DType::kQ3_K:
      return random_source<BlockQ3_K>(random, count, size, f16_scales);
    case DType::kQ4_K:
      return random_source<BlockQ4_K>(random, count, size, f16_scales);
    case DType::kQ5_K:
      return random_source<BlockQ5_K>(random, count, size, f16_scales);
    case DType::kQ6_K:
      return random_source<BlockQ6_K>(random, count, size, f16_scales);
    case DType::kIQ4_NL:
      return random_source<BlockIQ4_NL>(random, count, size, f16_scales);
    case DType::kIQ4_XS:
      return random_source<BlockIQ4_XS>(random, count, size, f16_scales);
    case DType::kIQ3_S:
      return random_source<BlockIQ3_S>(random, count, size, f16_scales);
    case DType::kIQ3_XXS:
      return random_source<BlockIQ3_XXS>(random, count, size, f16_scales);
    case DType::kIQ2_S:
      return random_source<BlockIQ2_S>(random, count, size, f16_scales);
    case DType::kIQ2_XS:
      return random_source<BlockIQ2_XS>(random, count, size, f16_scales);
    case DType::kIQ2_XXS:
      return random_source<BlockIQ2_XXS>(random, count, size, f16_scales);
    default:
      return {};
  }
}

class TilesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_device()) GTEST_SKIP() << "no GPU: packing is not tested";
  }

  // Packs and reads back rows [begin, begin + count).
  static std::vector<uint16_t> read_back(const std::vector<uint8_t>& bytes, DType dtype,
                                         Layout layout, int64_t outputs, int64_t inputs,
                                         int64_t begin, int64_t count) {
    const DeviceArray<uint8_t> source(bytes);
    const DeviceArray<uint8_t> packed(static_cast<size_t>(matrix_bytes(layout, outputs, inputs)));
    pack(nullptr, packed.data(), layout, source.data(), dtype, outputs, inputs);
    expect_success();
    Matrix w;
    w.layout = layout;
    w.outputs = outputs;
    w.inputs = inputs;
    w.data = packed.data();
    const DeviceArray<uint16_t> rows(static_cast<size_t>(count * inputs));
    unpack_bf16(nullptr, rows.data(), w, begin, count);
    expect_success();
    return rows.get();
  }

  std::mt19937 random_{11};
};

TEST_F(TilesTest, HoldsEveryBlockType) {
  for (int i = static_cast<int>(DType::kQ4_0); i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    // A shape of tiles, and one that only rows can have.
    for (int64_t outputs : {48, 17}) {
      const int64_t inputs = 768;
      const Layout layout = layout_of(dtype, outputs, inputs);
      const Source source =
          random_source(random_, dtype, outputs * inputs, layout != Layout::kBF16);
      const int64_t begin = 5;
      const int64_t count = outputs - 7;
      const std::vector<uint16_t> rows =
          read_back(source.bytes, dtype, layout, outputs, inputs, begin, count);
      for (size_t at = 0; at < rows.size(); ++at) {
        const float expected = source.values[static_cast<size_t>(begin * inputs) + at];
        ASSERT_EQ(rows[at], f32_to_bf16(expected)) << name(dtype) << ", element " << at;
      }
    }
  }
}

TEST_F(TilesTest, HoldsPlainTypes) {
  const int64_t outputs = 6;
  const int64_t inputs = 96;
  const int64_t count = outputs * inputs;
  std::uniform_real_distribution<float> distribution(-3, 3);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
    std::vector<uint8_t> bytes;
    std::vector<float> values;
    for (int64_t i = 0; i < count; ++i) {
      const float value = distribution(random_);
      if (dtype == DType::kF8E4M3) {
        bytes.push_back(static_cast<uint8_t>(random_() % 127));
        values.push_back(f8e4m3_to_f32(bytes.back()));
        continue;
      }
      const uint16_t half = dtype == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
      const size_t size = dtype == DType::kF32 ? 4 : 2;
      const void* from = dtype == DType::kF32 ? static_cast<const void*>(&value) : &half;
      bytes.resize(bytes.size() + size);
      std::memcpy(bytes.data() + bytes.size() - size, from, size);
      values.push_back(dtype == DType::kF32   ? value
                       : dtype == DType::kF16 ? f16_to_f32(half)
                                              : bf16_to_f32(half));
    }
    const Layout own = layout_of(dtype, outputs, inputs);
    const std::vector<uint16_t> rows = read_back(bytes, dtype, own, outputs, inputs, 2, 3);
    for (size_t at = 0; at < rows.size(); ++at) {
      ASSERT_EQ(rows[at], f32_to_bf16(values[static_cast<size_t>(2 * inputs) + at]))
          << name(dtype) << ", element " << at;
    }
  }
}

TEST(TileLayoutTest, SaysWhichLayoutATypeGets) {
  EXPECT_EQ(layout_of(DType::kQ4_0, 4096, 4096), Layout::kInt4);
  EXPECT_EQ(layout_of(DType::kQ4_1, 4096, 4096), Layout::kInt4Min);
  EXPECT_EQ(layout_of(DType::kQ4_K, 4096, 4096), Layout::kInt4Min);
  EXPECT_EQ(layout_of(DType::kQ8_0, 4096, 4096), Layout::kInt8);
  EXPECT_EQ(layout_of(DType::kQ6_K, 4096, 4096), Layout::kInt8Half);
  EXPECT_EQ(layout_of(DType::kQ5_K, 4096, 4096), Layout::kBF16);
  EXPECT_EQ(layout_of(DType::kQ4_0, 4096, 4064), Layout::kBF16);
  EXPECT_EQ(layout_of(DType::kQ4_0, 4100, 4096), Layout::kBF16);
  EXPECT_EQ(layout_of(DType::kF32, 7, 5), Layout::kF32);
  EXPECT_EQ(matrix_bytes(Layout::kInt4, 16, 256), 16 * 256 / 32 * 18);
  EXPECT_EQ(matrix_bytes(Layout::kInt4Min, 16, 256), 16 * 256 / 32 * 20);
  EXPECT_EQ(matrix_bytes(Layout::kInt8, 16, 256), 16 * 256 / 32 * 34);
  EXPECT_EQ(matrix_bytes(Layout::kInt8Half, 16, 256), 16 * 256 / 32 * 36);
}

}  // namespace
}  // namespace hachi::ops::cuda
