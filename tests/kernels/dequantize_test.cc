#include <fstream>

#include "kernels/blocks.h"
#include "kernels/cpu/select.h"
#include "kernels/decode.h"
#include "kernels/half.h"
#include "kernels/testing.h"

namespace hachi::ops {
namespace {

std::vector<std::byte> from_hex(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// Every set against values that another implementation of the formats computed, bit for bit.
TEST(Dequantize, GivesTheGoldenBits) {
  std::ifstream file(HACHI_TEST_DIR "/kernels/dequantize_goldens.txt");
  std::string type_name, blocks_hex, values_hex;
  int types = 0;
  while (file >> type_name >> blocks_hex >> values_hex) {
    SCOPED_TRACE(type_name);
    const DType dtype = dtype_from_name(type_name).value();
    const std::vector<std::byte> blocks = from_hex(blocks_hex);
    const std::vector<std::byte> values = from_hex(values_hex);
    const auto n = static_cast<int64_t>(values.size() / 4);
    Bytes odd(static_cast<int64_t>(blocks.size()), 1);
    std::memcpy(odd.data(), blocks.data(), blocks.size());
    const Weight weight{ConstTensor(odd.data(), dtype, {1, n}), {}, 0, 0};
    for (const Device device : {Device::kRef, Device::kCpu}) {
      for (const bool avx2 : instruction_sets()) {
        Runner runner(device, avx2, 2);
        SCOPED_TRACE(runner.name());
        Matrix got(1, n);
        dequantize(runner.ctx(), got.tensor(), weight, 0);
        for (int64_t i = 0; i < n; ++i) {
          float want;
          std::memcpy(&want, values.data() + i * 4, 4);
          ASSERT_EQ(std::bit_cast<uint32_t>(got.at(0, i)), std::bit_cast<uint32_t>(want))
              << "element " << i << ": got " << got.at(0, i) << ", want " << want;
        }
      }
    }
    ++types;
  }
  EXPECT_EQ(types, 19);
}

TEST(Dequantize, AllSetsGiveTheSameBits) {
  std::mt19937 random(1);
  for (const DType dtype : weight_types()) {
    SCOPED_TRACE(name(dtype));
    const int64_t unit = traits(dtype).block_size;
    for (const int64_t n : {1, 2, 3, 7, 9}) {
      RandomWeight weight(dtype, 5, n * unit, random);
      Runner plain(Device::kRef, false, 1);
      Matrix want(3, n * unit);
      dequantize(plain.ctx(), want.tensor(), weight.weight(), 2);
      for_each_set([&](Runner& runner) {
        Matrix got(3, n * unit);
        dequantize(runner.ctx(), got.tensor(), weight.weight(), 2);
        EXPECT_TRUE(got.same_bytes(want));
      });
    }
  }
}

TEST(Dequantize, AppliesTheScalesOfFp8) {
  std::mt19937 random(2);
  for (const int block : {0, 4, 128}) {
    SCOPED_TRACE(block);
    RandomWeight weight(DType::kF8E4M3, 9, 300, random);
    weight.scale_blocks(block, block, random);
    const Weight& w = weight.weight();
    for_each_set([&](Runner& runner) {
      Matrix got(9, 300);
      dequantize(runner.ctx(), got.tensor(), w, 0);
      for (int64_t r = 0; r < 9; ++r) {
        for (int64_t c = 0; c < 300; ++c) {
          float scale = 0;
          if (block == 0) {
            decode(DType::kF32, w.scales.data(), 1, &scale);
          } else {
            const int64_t index = r / block * w.scales.size(1) + c / block;
            decode(DType::kBF16, w.scales.data() + 2 * index, 1, &scale);
          }
          const auto bits = static_cast<uint8_t>(w.values.row(r)[c]);
          ASSERT_EQ(got.at(r, c), f8e4m3_to_f32(bits) * scale) << r << ", " << c;
        }
      }
    });
  }
}

// Published values of the format: OCP 8-bit floating point specification 1.0, table 1.
TEST(Half, Fp8HasItsPublishedValues) {
  EXPECT_EQ(f8e4m3_to_f32(0x00), 0.0f);
  EXPECT_EQ(f8e4m3_to_f32(0x01), 0x1p-9f);
  EXPECT_EQ(f8e4m3_to_f32(0x07), 7 * 0x1p-9f);
  EXPECT_EQ(f8e4m3_to_f32(0x08), 0x1p-6f);
  EXPECT_EQ(f8e4m3_to_f32(0x38), 1.0f);
  EXPECT_EQ(f8e4m3_to_f32(0xfe), -448.0f);
  EXPECT_TRUE(std::isnan(f8e4m3_to_f32(0x7f)));
  EXPECT_TRUE(std::isnan(f8e4m3_to_f32(0xff)));
}

TEST(Half, AllSetsDecodeEveryFp8Value) {
  for (const bool avx2 : instruction_sets()) {
    for (int bits = 0; bits < 256; bits += 8) {
      std::byte data[8];
      for (int i = 0; i < 8; ++i) data[i] = static_cast<std::byte>(bits + i);
      float values[8];
      cpu::inner_loops({.avx2 = avx2}).decode(DType::kF8E4M3, data, 8, values);
      for (int i = 0; i < 8; ++i) {
        const float want = f8e4m3_to_f32(static_cast<uint8_t>(bits + i));
        EXPECT_EQ(std::isnan(values[i]), std::isnan(want));
        if (!std::isnan(want)) {
          EXPECT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(want));
        }
      }
    }
  }
}

TEST(Half, EverySixteenBitValueComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (!std::isnan(f16_to_f32(half))) {
      ASSERT_EQ(f32_to_f16(f16_to_f32(half)), half);
    }
    if (!std::isnan(bf16_to_f32(half))) {
      ASSERT_EQ(f32_to_bf16(bf16_to_f32(half)), half);
    }
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  EXPECT_EQ(f32_to_f16(1.0f + 0x1p-11f), 0x3c00);             // a tie, down to even
  EXPECT_EQ(f32_to_f16(1.0f + 3 * 0x1p-11f), 0x3c02);         // a tie, up to even
  EXPECT_EQ(f32_to_f16(1.0f + 0x1p-11f + 0x1p-20f), 0x3c01);  // above the tie
  EXPECT_EQ(f32_to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-0x1p-25f), 0x8000);
  EXPECT_EQ(f32_to_f16(3 * 0x1p-26f), 0x0001);
  EXPECT_EQ(f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);
  EXPECT_EQ(f32_to_bf16(1.0f + 3 * 0x1p-8f), 0x3f82);
  EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(NAN))));
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(NAN))));
}

TEST(Half, AllSetsEncodeTheSameBits) {
  std::mt19937 random(3);
  std::vector<float> values = {0.0f, -0.0f, INFINITY, -INFINITY, 65504.0f, 65520.0f, 1e-8f, 1e30f};
  while (values.size() < 4099) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (!std::isnan(value)) values.push_back(value);
  }
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const auto n = static_cast<int64_t>(values.size());
    Bytes want(row_bytes(dtype, n), 1);
    encode(dtype, values.data(), n, want.data());
    for (const bool avx2 : instruction_sets()) {
      Bytes got(row_bytes(dtype, n), 1);
      cpu::inner_loops({.avx2 = avx2}).encode(dtype, values.data(), n, got.data());
      EXPECT_EQ(std::memcmp(got.data(), want.data(), static_cast<size_t>(got.size())), 0);
    }
  }
}

TEST(Blocks, HaveTheSizesThatCoreSays) {
  EXPECT_EQ(traits(DType::kQ4_0).block_bytes, int{sizeof(BlockQ4_0)});
  EXPECT_EQ(traits(DType::kQ4_1).block_bytes, int{sizeof(BlockQ4_1)});
  EXPECT_EQ(traits(DType::kQ5_0).block_bytes, int{sizeof(BlockQ5_0)});
  EXPECT_EQ(traits(DType::kQ5_1).block_bytes, int{sizeof(BlockQ5_1)});
  EXPECT_EQ(traits(DType::kQ8_0).block_bytes, int{sizeof(BlockQ8_0)});
  EXPECT_EQ(traits(DType::kQ2_K).block_bytes, int{sizeof(BlockQ2_K)});
  EXPECT_EQ(traits(DType::kQ3_K).block_bytes, int{sizeof(BlockQ3_K)});
  EXPECT_EQ(traits(DType::kQ4_K).block_bytes, int{sizeof(BlockQ4_K)});
  EXPECT_EQ(traits(DType::kQ5_K).block_bytes, int{sizeof(BlockQ5_K)});
  EXPECT_EQ(traits(DType::kQ6_K).block_bytes, int{sizeof(BlockQ6_K)});
  EXPECT_EQ(traits(DType::kIQ4_NL).block_bytes, int{sizeof(BlockIQ4_NL)});
  EXPECT_EQ(traits(DType::kIQ4_XS).block_bytes, int{sizeof(BlockIQ4_XS)});
  EXPECT_EQ(traits(DType::kIQ3_S).block_bytes, int{sizeof(BlockIQ3_S)});
  EXPECT_EQ(traits(DType::kIQ3_XXS).block_bytes, int{sizeof(BlockIQ3_XXS)});
  EXPECT_EQ(traits(DType::kIQ2_S).block_bytes, int{sizeof(BlockIQ2_S)});
  EXPECT_EQ(traits(DType::kIQ2_XS).block_bytes, int{sizeof(BlockIQ2_XS)});
  EXPECT_EQ(traits(DType::kIQ2_XXS).block_bytes, int{sizeof(BlockIQ2_XXS)});
}

}  // namespace
}  // namespace hachi::ops
