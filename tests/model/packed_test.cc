// Models of 4 and 8 bits as GPTQ, AWQ and compressed-tensors pack them.
#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <random>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "formats/gguf_bytes.h"
#include "formats/temp_folder.h"
#include "kernels/decode.h"
#include "kernels/half.h"
#include "model/golden_models.h"
#include "model/packed_matrix.h"

namespace hachi::model {
namespace {

using formats::Checkpoint;
using formats::TempFolder;
namespace json = boost::json;
namespace fs = std::filesystem;

// A golden folder whose config.json and tensors can be changed.
class EditedFolder {
 public:
  struct Entry {
    std::string dtype;
    std::vector<int64_t> shape;
    std::string bytes;
  };

  explicit EditedFolder(const std::string& golden) {
    const fs::path from = testing::golden_folder(golden);
    config = json::parse(*read_file(from / "config.json", 1 << 20)).as_object();
    const std::string file = *read_file(from / "model.safetensors", 1 << 20);
    uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof length);
    const json::object header = json::parse(file.substr(8, length)).as_object();
    for (const auto& [name, value] : header) {
      if (name == "__metadata__") continue;
      const auto offsets = json::value_to<std::vector<uint64_t>>(value.at("data_offsets"));
      tensors[name] = {std::string(value.at("dtype").as_string()),
                       json::value_to<std::vector<int64_t>>(value.at("shape")),
                       file.substr(8 + length + offsets[0], offsets[1] - offsets[0])};
    }
  }

  // A tensor of the one down projection, which is [64, 128].
  Entry& down(const std::string& suffix) {
    return tensors["model.layers.0.mlp.down_proj." + suffix];
  }
  json::object& quantization() { return config["quantization_config"].as_object(); }

  // Writes what it holds now.
  const fs::path& write() {
    json::object header;
    std::string data;
    for (const char* dtype : {"F32", "I64", "I32", "F16", "BF16", "F8_E4M3"}) {  // no gaps
      for (const auto& [name, entry] : tensors) {
        if (entry.dtype != dtype) continue;
        header[name] = {{"dtype", entry.dtype},
                        {"shape", json::value_from(entry.shape)},
                        {"data_offsets", {data.size(), data.size() + entry.bytes.size()}}};
        data += entry.bytes;
      }
    }
    folder_.write("config.json", json::serialize(config));
    folder_.write("model.safetensors", formats::safetensors_bytes(json::serialize(header), data));
    return folder_.path();
  }

  // The weights live as long as the folder.
  Result<Weights> load() {
    TRY(Checkpoint opened, Checkpoint::open(write()));
    checkpoint_ = std::make_unique<Checkpoint>(std::move(opened));
    TRY(const ModelConfig model_config, read_config(*checkpoint_, {}));
    return load_weights(*checkpoint_, model_config);
  }

  json::object config;
  std::map<std::string, Entry> tensors;

 private:
  TempFolder folder_;
  std::unique_ptr<Checkpoint> checkpoint_;
};

// Replaces the tensors of a packed matrix by the values of its blocks.
void spell_out(EditedFolder& folder, const std::string& name, const ConstTensor& blocks) {
  std::erase_if(folder.tensors,
                [&](const auto& entry) { return entry.first.starts_with(name + "."); });
  const int64_t count = blocks.size(0) * blocks.size(1);
  std::string bytes(static_cast<size_t>(count) * sizeof(float), '\0');
  ops::decode(blocks.dtype(), blocks.data(), count, reinterpret_cast<float*>(bytes.data()));
  folder.tensors[name + ".weight"] = {"F32", {blocks.size(0), blocks.size(1)}, bytes};
}

class PackedGolden : public ::testing::TestWithParam<const char*> {};

// Products of blocks round activations to 8 bits, so the blocks are spelled out first.
TEST_P(PackedGolden, ValuesGiveTheLogitsOfTransformers) {
  EditedFolder folder(GetParam());
  const auto weights = folder.load();
  ASSERT_TRUE(weights) << weights.error().message;
  const LayerWeights& layer = weights->layers[0];
  if (!weights->unpacked.empty()) {
    const std::string prefix = "model.layers.0.";
    spell_out(folder, prefix + "self_attn.q_proj", layer.query.values);
    spell_out(folder, prefix + "self_attn.k_proj", layer.key.values);
    spell_out(folder, prefix + "self_attn.v_proj", layer.value.values);
    spell_out(folder, prefix + "self_attn.o_proj", layer.out.values);
    spell_out(folder, prefix + "mlp.gate_proj", layer.gate.values);
    spell_out(folder, prefix + "mlp.up_proj", layer.up.values);
    spell_out(folder, prefix + "mlp.down_proj", layer.down.values);
    if (folder.tensors.contains("lm_head.qweight")) {
      spell_out(folder, "lm_head", weights->head.values);
    }
  }
  const auto golden = testing::open_golden(GetParam(), folder.write());
  ASSERT_TRUE(golden.model);
  testing::expect_golden_logits(golden, testing::run_prompt(golden, ops::Device::kCpu));
}

// Random zero points magnify that rounding: 0.11 at most, where a wrong packing gives 1 and more.
TEST_P(PackedGolden, RunsInItsBlocks) {
  const auto golden = testing::open_golden(GetParam());
  ASSERT_TRUE(golden.model);
  for (const ops::Device device : {ops::Device::kRef, ops::Device::kCpu}) {
    testing::expect_golden_logits(golden, testing::run_prompt(golden, device), 0.15);
  }
}

INSTANTIATE_TEST_SUITE_P(All, PackedGolden, ::testing::ValuesIn(testing::kPackedModels));

// What the loader says to a change of a golden folder.
Error error_of(const std::string& golden, const std::function<void(EditedFolder&)>& change) {
  EditedFolder folder(golden);
  change(folder);
  const auto weights = folder.load();
  return weights ? Error{Code::kInternal, "no error"} : weights.error();
}

void expect_refusal(const Error& error, Code code, std::string_view part) {
  EXPECT_EQ(error.code, code) << error.message;
  EXPECT_NE(error.message.find(part), std::string::npos) << error.message;
}

template <class T>
void set(std::string& bytes, size_t index, T value) {
  std::memcpy(bytes.data() + index * sizeof value, &value, sizeof value);
}

TEST(Packed, TheZeroPointsChooseTheType) {
  const std::map<std::string, DType> types = {
      {"qwen3-gptq", DType::kQ4_0},     {"qwen3-gptq-zeros", DType::kQ4_1},
      {"qwen3-gptq-8", DType::kQ8_0},   {"qwen3-awq", DType::kQ4_1},
      {"qwen3-packed", DType::kQ4_0},   {"qwen3-packed-zeros", DType::kQ4_1},
      {"qwen3-packed-8", DType::kQ8_0}, {"qwen3-float-quantized", DType::kF8E4M3}};
  for (const auto& [name, type] : types) {
    EditedFolder folder(name);
    const auto weights = folder.load();
    if (name == "qwen3-float-quantized")
      continue;  // F8 is not among the types that the test writes
    ASSERT_TRUE(weights) << weights.error().message;
    EXPECT_EQ(weights->layers[0].down.values.dtype(), type) << name;
    if (type != DType::kF8E4M3) {
      EXPECT_EQ(weights->unpacked.size(), name == "qwen3-gptq-zeros" ? 8u : 7u);
    }
  }
}

TEST(Packed, FindingIsLoadingWithoutTheRows) {
  EditedFolder folder("qwen3-gptq");
  const auto checkpoint = Checkpoint::open(folder.write());
  ASSERT_TRUE(checkpoint);
  const auto found = find_weights(*checkpoint, *read_config(*checkpoint, {}));
  ASSERT_TRUE(found);
  ASSERT_EQ(found->unpacked.size(), 7u);
  const PackedMatrix& query = found->unpacked[0].source;
  EXPECT_EQ(query.rows, 128);
  EXPECT_EQ(query.columns, 64);
  EXPECT_EQ(query.group, 32);
  EXPECT_EQ(found->layers[0].query.values.as<uint16_t>()[0], 0);
}

TEST(Packed, TheSecondFormatOfGptqStoresZeroPointsAsTheyAre) {
  for (const std::string key : {"checkpoint_format", "format"}) {
    EditedFolder folder("qwen3-gptq");
    folder.quantization()[key] = "gptq_v2";
    const auto weights = folder.load();
    ASSERT_TRUE(weights) << weights.error().message;
    EXPECT_EQ(weights->layers[0].down.values.dtype(), DType::kQ4_1);
    EXPECT_EQ(weights->unpacked[0].source.zero(0, 0), 7);
  }
}

// Zero points of 0 borrow from their neighbours in GPTQ's first format.
TEST(Packed, BorrowsOfTheFirstFormatAreGivenBack) {
  const uint32_t words[] = {0x80f00010u - 0x11111111u};
  const uint16_t scales[8] = {};
  PackedMatrix matrix;
  matrix.rows = 8;
  matrix.columns = matrix.group = 32;
  matrix.zeros = ConstTensor(words, DType::kI32, {1, 1});
  matrix.scales = ConstTensor(scales, DType::kF16, {1, 8});
  matrix.zero_carry = 0x11111111u;
  const int expected[] = {0, 1, 0, 0, 0, 15, 0, 8};
  for (int64_t row = 0; row < 8; ++row) EXPECT_EQ(matrix.zero(row, 0), expected[row]);
}

// Sizes that leave a part of a tile of rows, whatever the threads.
TEST(Packed, UnpacksEachPackingAsItsFormulaSays) {
  constexpr int64_t kRows = 72;
  constexpr int64_t kColumns = 96;
  constexpr int kOutput[] = {0, 2, 4, 6, 1, 3, 5, 7};  // of AWQ's places
  std::mt19937 random(7);
  std::vector<uint32_t> words(kRows * kColumns / 8);
  for (uint32_t& word : words) word = static_cast<uint32_t>(random());
  std::vector<uint16_t> scales(kRows * 3);
  for (uint16_t& scale : scales) scale = static_cast<uint16_t>(0x2000 + random() % 0x1000);
  std::vector<uint32_t> zeros(kRows / 8 * 3);
  for (uint32_t& word : zeros) word = static_cast<uint32_t>(random());
  for (const Packing packing : {Packing::kGptq, Packing::kAwq, Packing::kCompressedTensors}) {
    const bool by_row = packing == Packing::kCompressedTensors;
    PackedMatrix matrix{.packing = packing, .rows = kRows, .columns = kColumns, .group = 32};
    matrix.words = ConstTensor(words.data(), DType::kI32, {1, kRows * kColumns / 8});
    const int64_t outer = by_row ? kRows : 3;
    matrix.scales = ConstTensor(scales.data(), DType::kF16, {outer, kRows * 3 / outer});
    const int64_t zero_outer = by_row ? kRows / 8 : 3;
    matrix.zeros = ConstTensor(zeros.data(), DType::kI32, {zero_outer, kRows * 3 / 8 / zero_outer});
    matrix.type = DType::kQ4_1;
    const auto number = [&](int64_t row, int64_t column) {
      int64_t word = column / 8 * kRows + row;
      int64_t place = column % 8;
      if (by_row) word = row * kColumns / 8 + column / 8;
      if (packing == Packing::kAwq) {
        word = column * kRows / 8 + row / 8;
        place = std::find(kOutput, kOutput + 8, row % 8) - kOutput;
      }
      return static_cast<float>(words[static_cast<size_t>(word)] >> (4 * place) & 15);
    };
    std::vector<std::byte> rows(static_cast<size_t>(kRows * row_bytes(matrix.type, kColumns)));
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      std::fill(rows.begin(), rows.end(), std::byte{});
      unpack(matrix, pool, rows.data());
      std::vector<float> values(kRows * kColumns);
      ops::decode(matrix.type, rows.data(), kRows * kColumns, values.data());
      for (int64_t row = 0; row < kRows; ++row) {
        for (int64_t column = 0; column < kColumns; ++column) {
          const float scale = matrix.scale(row, column / 32);
          const auto zero = static_cast<float>(matrix.zero(row, column / 32));
          const float least = ops::f16_to_f32(ops::f32_to_f16(-zero * scale));
          ASSERT_NEAR(least, -zero * scale, zero * scale * 0x1p-11f);
          ASSERT_EQ(values[static_cast<size_t>(row * kColumns + column)],
                    number(row, column) * scale + least)
              << name(packing) << ' ' << row << ' ' << column;
        }
      }
    }
  }
}

// compressed-tensors calls the scales of FP8 blocks otherwise than DeepSeek, and their sides too.
TEST(FloatQuantized, ReadsBlocks) {
  EditedFolder folder("qwen3-fp8-blocks");
  std::map<std::string, EditedFolder::Entry> renamed;
  for (const auto& [name, entry] : folder.tensors) {
    const bool scales = name.ends_with("_scale_inv");
    renamed[scales ? name.substr(0, name.size() - 4) : name] = entry;
  }
  folder.tensors = renamed;
  folder.quantization() = {
      {"quant_method", "compressed-tensors"},
      {"config_groups", {{"group_0", {{"weights", {{"block_structure", json::array{32, 32}}}}}}}}};
  const auto golden = testing::open_golden("qwen3-fp8-blocks", folder.write());
  ASSERT_TRUE(golden.model);
  testing::expect_golden_logits(golden, testing::run_prompt(golden, ops::Device::kCpu));
}

TEST(Packed, MissingTensorsAreNamed) {
  for (const std::string suffix : {"qzeros", "scales"}) {
    const Error error = error_of("qwen3-gptq", [&](EditedFolder& folder) {
      folder.tensors.erase("model.layers.0.mlp.down_proj." + suffix);
    });
    expect_refusal(error, Code::kCorrupt, "down_proj." + suffix + " is missing");
  }
  expect_refusal(error_of("qwen3-gptq",
                          [](EditedFolder& folder) {
                            folder.tensors.erase("model.layers.0.mlp.down_proj.qweight");
                          }),
                 Code::kCorrupt, "down_proj.weight is missing");
  expect_refusal(error_of("qwen3-packed",
                          [](EditedFolder& folder) {
                            folder.tensors.erase("model.layers.0.mlp.down_proj.weight_scale");
                          }),
                 Code::kCorrupt, "down_proj.weight_scale is missing");
}

TEST(Packed, WrongShapesAndTypesAreNamed) {
  using Shape = std::vector<int64_t>;
  const struct {
    const char* golden;
    const char* suffix;
    Shape shape;
    Code code;
  } cases[] = {
      {"qwen3-gptq", "qweight", {64, 16}, Code::kUnsupported},
      {"qwen3-gptq", "qweight", {16 * 64}, Code::kUnsupported},
      {"qwen3-gptq", "scales", {64, 4}, Code::kCorrupt},
      {"qwen3-gptq", "scales", {256}, Code::kCorrupt},
      {"qwen3-gptq", "qzeros", {8, 4}, Code::kCorrupt},
      {"qwen3-gptq", "g_idx", {2, 64}, Code::kCorrupt},
      {"qwen3-awq", "qweight", {8, 128}, Code::kUnsupported},
      {"qwen3-awq", "qzeros", {32}, Code::kCorrupt},
      {"qwen3-packed", "weight_packed", {16, 64}, Code::kUnsupported},
      {"qwen3-packed", "weight_scale", {4, 64}, Code::kCorrupt},
      {"qwen3-packed-zeros", "weight_zero_point", {1, 8}, Code::kCorrupt},
  };
  for (const auto& wrong : cases) {
    const Error error = error_of(
        wrong.golden, [&](EditedFolder& folder) { folder.down(wrong.suffix).shape = wrong.shape; });
    expect_refusal(error, wrong.code, std::string("down_proj.") + wrong.suffix);
  }
  expect_refusal(
      error_of("qwen3-gptq", [](EditedFolder& folder) { folder.down("qzeros").dtype = "F32"; }),
      Code::kCorrupt, "down_proj.qzeros has the type F32");
  expect_refusal(error_of("qwen3-gptq",
                          [](EditedFolder& folder) {
                            folder.down("scales").dtype = "I32";
                            folder.down("scales").shape = {4, 32};
                          }),
                 Code::kUnsupported, "down_proj.scales has the type I32");
}

TEST(Packed, OddGroupsAreRefused) {
  const auto regrouped = [](int64_t groups) {
    return error_of("qwen3-gptq", [&](EditedFolder& folder) {
      auto& scales = folder.down("scales");
      scales.shape = {groups, 64};
      scales.bytes.assign(static_cast<size_t>(groups) * 128, '\x20');
    });
  };
  expect_refusal(regrouped(8), Code::kUnsupported, "down_proj.scales has 8 groups for 128 columns");
  expect_refusal(regrouped(3), Code::kUnsupported, "3 groups");
  expect_refusal(regrouped(200), Code::kUnsupported, "200 groups");
  // Two groups of 96 and a short one look like two of 64.
  expect_refusal(error_of("qwen3-gptq-zeros",
                          [](EditedFolder& folder) { folder.quantization()["group_size"] = 96; }),
                 Code::kUnsupported, "groups must be equal");
}

TEST(Packed, WhatBlocksCannotSayIsRefused) {
  expect_refusal(
      error_of("qwen3-gptq", [](EditedFolder& folder) { set(folder.down("g_idx").bytes, 40, 0); }),
      Code::kUnsupported, "down_proj.g_idx orders columns by their activations");
  expect_refusal(
      error_of("qwen3-gptq",
               [](EditedFolder& folder) { set(folder.down("bias").bytes, 63, uint16_t{1}); }),
      Code::kUnsupported, "down_proj.bias");
  expect_refusal(
      error_of("qwen3-gptq",
               [](EditedFolder& folder) { set(folder.down("scales").bytes, 9, uint16_t{0x7c00}); }),
      Code::kUnsupported, "down_proj.scales has inf for row 9");
  expect_refusal(error_of("qwen3-packed",
                          [](EditedFolder& folder) {
                            set(folder.down("weight_scale").bytes, 5, uint16_t{0x7f00});  // 1.7e38
                          }),
                 Code::kUnsupported, "which no float of 16 bits is near");
  expect_refusal(error_of("qwen3-gptq-8",
                          [](EditedFolder& folder) { set(folder.down("qzeros").bytes, 0, 0); }),
                 Code::kUnsupported, "down_proj.qzeros has zero points besides 128");
}

TEST(Packed, OtherPackingsAreRefused) {
  const auto with = [](const char* golden, const char* key, const json::value& value) {
    return error_of(golden, [&](EditedFolder& folder) { folder.quantization()[key] = value; });
  };
  expect_refusal(with("qwen3-gptq", "quant_method", "exl3"), Code::kUnsupported,
                 "quant_method 'exl3'");
  expect_refusal(with("qwen3-gptq", "quant_method", nullptr), Code::kUnsupported,
                 "quant_method missing");
  expect_refusal(with("qwen3-gptq", "quant_method", 4), Code::kCorrupt, "quant_method");
  expect_refusal(with("qwen3-gptq", "quant_method", "awq"), Code::kUnsupported, "qweight");
  expect_refusal(with("qwen3-gptq", "quant_method", "compressed-tensors"), Code::kCorrupt,
                 "weight_packed is missing");
  expect_refusal(with("qwen3-gptq", "checkpoint_format", "marlin"), Code::kUnsupported, "marlin");
  expect_refusal(with("qwen3-awq", "version", "gemv"), Code::kUnsupported, "gemv");
  expect_refusal(with("qwen3-packed", "format", "marlin-24"), Code::kUnsupported, "marlin-24");
  expect_refusal(with("qwen3-packed", "transform_config", {{"config_groups", {{"a", 1}}}}),
                 Code::kUnsupported, "transform_config");
}

}  // namespace
}  // namespace hachi::model
