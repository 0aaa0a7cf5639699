#include "quantize/write_model.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

#include <gtest/gtest.h>

#include "formats/gguf_writer.h"
#include "formats/temp_folder.h"
#include "tiny_model.h"

namespace hachi::quantize {
namespace {

namespace fs = std::filesystem;
using formats::TempFolder;

std::string contents_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Result<uint64_t> write(const Source& source, const fs::path& path, std::string_view type,
                       const PlanOptions& options = {}, int threads = 2,
                       const WriteOptions& write_options = {}) {
  TRY(const Plan plan, make_plan(source, model::find_file_type(type), options, true));
  ThreadPool pool(threads);
  return write_model(source, plan, path, pool, write_options);
}

// A GGUF file with one layer's worth of tensors, F32, with these values in its query matrix.
fs::path small_gguf(const TempFolder& folder, const std::vector<float>& query) {
  const auto path = folder.path() / "small.gguf";
  formats::GgufPairList pairs;
  pairs.set("general.architecture", "llama");
  pairs.set<uint32_t>("llama.block_count", 1);
  pairs.set<uint16_t>("split.count", 0);
  pairs.set_list<int16_t>("kept.list", {1, -2});
  auto writer = formats::GgufWriter::create(
      path, pairs,
      {{"blk.0.attn_q.weight", DType::kF32, {2, 32}}, {"output_norm.weight", DType::kF32, {4}}});
  EXPECT_TRUE(writer);
  EXPECT_TRUE(writer->write(std::as_bytes(std::span(query))));
  EXPECT_TRUE(writer->write(std::vector<std::byte>(16)));
  EXPECT_TRUE(writer->finish());
  return path;
}

TEST(WriteModel, KeepsPairsAndSetsTheTypeOfTheFile) {
  const TempFolder folder;
  const auto source = open_source(open_shared(small_gguf(folder, std::vector<float>(64, 0.5f))));
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_FALSE(source->is_quantized());
  const auto path = folder.path() / "out.gguf";
  ASSERT_TRUE(write(*source, path, "Q8_0"));
  const auto out = open_shared(path);
  EXPECT_EQ(*out->metadata().integer("general.file_type"), 7);
  EXPECT_EQ(*out->metadata().integer("general.quantization_version"), 2);
  EXPECT_EQ(*out->metadata().integers("kept.list"), (std::vector<int64_t>{1, -2}));
  EXPECT_EQ(out->metadata().find("split.count"), nullptr);
  EXPECT_EQ(out->find("blk.0.attn_q.weight")->data.dtype(), DType::kQ8_0);
  EXPECT_EQ(out->find("output_norm.weight")->data.dtype(), DType::kF32);
  EXPECT_TRUE(open_source(out)->is_quantized());
}

TEST(WriteModel, ATypeThatIsThereAlreadyIsCopied) {
  const TempFolder folder;
  const auto source = open_source(open_tiny("qwen3-f32"));
  ASSERT_TRUE(source);
  const auto first = folder.path() / "first.gguf";
  const auto second = folder.path() / "second.gguf";
  ASSERT_TRUE(write(*source, first, "Q4_0"));
  ASSERT_TRUE(write(*open_source(open_shared(first)), second, "Q4_0"));
  EXPECT_EQ(contents_of(first), contents_of(second));
}

TEST(WriteModel, TheNumberOfThreadsChangesNothing) {
  const TempFolder folder;
  const auto source = open_source(open_tiny("llama-bf16"));
  ASSERT_TRUE(source);
  ASSERT_TRUE(write(*source, folder.path() / "one", "Q4_K_M", {}, 1));
  ASSERT_TRUE(write(*source, folder.path() / "five", "Q4_K_M", {}, 5));
  EXPECT_EQ(contents_of(folder.path() / "one"), contents_of(folder.path() / "five"));
}

TEST(WriteModel, StoppingLeavesWhatWasThere) {
  const TempFolder folder;
  const auto source = open_source(open_tiny("qwen3-f32"));
  ASSERT_TRUE(source);
  const auto path = folder.write("out.gguf", "before");
  int asked = 0;
  WriteOptions options;
  options.should_stop = [&] { return ++asked > 5; };
  const auto written = write(*source, path, "Q4_0", {}, 1, options);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kCancelled);
  EXPECT_EQ(contents_of(path), "before");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(WriteModel, WeightsThatDoNotFitAreNamed) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf(""), 1e6f}) {
    const TempFolder folder;
    std::vector<float> query(64, 0.5f);
    query[40] = bad;
    const auto source = open_source(open_shared(small_gguf(folder, query)));
    ASSERT_TRUE(source);
    const auto written = write(*source, folder.path() / "out.gguf", "F16");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, Code::kCorrupt);
    EXPECT_NE(written.error().message.find("blk.0.attn_q.weight: row 1"), std::string::npos)
        << written.error().message;
    EXPECT_FALSE(fs::exists(folder.path() / "out.gguf"));
    EXPECT_EQ(write(*source, folder.path() / "b.gguf", "BF16").has_value(), bad == 1e6f);
  }
}

DType planned_type(const Plan& plan, std::string_view name) {
  for (const PlannedTensor& planned : plan.tensors) {
    if (planned.tensor->name == name) return planned.type;
  }
  ADD_FAILURE() << name;
  return DType::kI32;
}

TEST(Plan, OverridesComeFirst) {
  const auto source = open_source(open_tiny("qwen3-f32"));
  ASSERT_TRUE(source);
  PlanOptions options;
  options.overrides = {{R"(blk\.0\.attn_[qk])", DType::kQ8_0}, {"attn_", DType::kF16}};
  options.embedding_type = DType::kQ5_0;
  const auto plan = make_plan(*source, model::find_file_type("Q4_0"), options, true);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(planned_type(*plan, "blk.0.attn_q.weight"), DType::kQ8_0);
  EXPECT_EQ(planned_type(*plan, "blk.1.attn_q.weight"), DType::kF16);
  EXPECT_EQ(planned_type(*plan, "blk.0.attn_norm.weight"), DType::kF32);
  EXPECT_EQ(planned_type(*plan, "token_embd.weight"), DType::kQ5_0);
  EXPECT_EQ(planned_type(*plan, "blk.1.ffn_up.weight"), DType::kQ4_0);
}

TEST(Plan, WhatCannotBeMeantIsASentence) {
  const auto source = open_source(open_tiny("qwen3-f32"));
  ASSERT_TRUE(source);
  const auto message = [&](std::string_view type, const PlanOptions& options) {
    const auto plan = make_plan(*source, model::find_file_type(type), options, true);
    return plan ? std::string() : plan.error().message;
  };
  EXPECT_NE(message("Q4_0", {.overrides = {{"attn_w", DType::kQ8_0}}}).find("no matrix"),
            std::string::npos);
  EXPECT_NE(message("Q4_0", {.overrides = {{"(", DType::kQ8_0}}}).find("regular expression"),
            std::string::npos);
  EXPECT_NE(message("Q4_0", {.overrides = {{"attn", DType::kQ8_0}, {"attn_q", DType::kF16}}})
                .find("rule"),
            std::string::npos);
  Importance other;
  other.matrices["blk.0.attn_q.weight"] = {{1, 2, 3}, 1};
  EXPECT_NE(message("Q4_0", {.importance = &other}).find("another model"), std::string::npos);
}

TEST(Plan, MixturesOfExpertsAreRefused) {
  const TempFolder folder;
  const auto path = folder.path() / "experts.gguf";
  formats::GgufPairList pairs;
  pairs.set("general.architecture", "llama");
  pairs.set<uint32_t>("llama.block_count", 1);
  pairs.set<uint32_t>("llama.expert_count", 8);
  ASSERT_TRUE(formats::GgufWriter::create(path, pairs, {})->finish());
  const auto source = open_source(open_shared(path));
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code, Code::kUnsupported);
  pairs.erase("llama.expert_count");
  pairs.erase("llama.block_count");
  ASSERT_TRUE(formats::GgufWriter::create(path, pairs, {})->finish());
  EXPECT_EQ(open_source(open_shared(path)).error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace hachi::quantize
