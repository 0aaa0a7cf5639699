// Files whose matrices lie in panels: the same weights in another order, there and back.
#include "kernels/panels.h"

#include <cstring>

#include <gtest/gtest.h>

#include "core/files.h"
#include "formats/temp_folder.h"
#include "model/golden_models.h"
#include "tiny_model.h"

namespace hachi::quantize {
namespace {

namespace fs = std::filesystem;
using formats::Checkpoint;
using formats::TempFolder;
using formats::TensorEntry;
using testing::GoldenModel;

// `type`: empty to keep those of the source.
void write(const std::shared_ptr<const Checkpoint>& from, const fs::path& to, std::string_view type,
           bool panels) {
  const auto source = open_source(from);
  ASSERT_TRUE(source) << source.error().message;
  const model::FileType* file = type.empty() ? nullptr : model::find_file_type(type);
  const auto plan = make_plan(*source, file, {.panels = panels}, true);
  ASSERT_TRUE(plan) << plan.error().message;
  ThreadPool pool(2);
  const auto written = write_model(*source, *plan, to, pool, {});
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(*written, fs::file_size(to));
}

std::string contents_of(const fs::path& path) { return *read_file(path, 1 << 24); }

// Logits of the golden prompt, with the file's weights as a processor would take them.
std::vector<float> logits(const GoldenModel& golden, const fs::path& path, ops::Device device) {
  GoldenModel other;
  other.prompt = golden.prompt;
  other.logits = golden.logits;
  other.model = std::make_unique<model::Model>(*model::Model::load(open_shared(path)));
  ThreadPool pool(2);
  ops::Context ctx{.device = device, .pool = &pool};
  EXPECT_TRUE(other.model->repack(ctx));
  return testing::run_prompt(other, device);
}

class Panels : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(Panels, AreTheSameModel) {
  const auto [name, type] = GetParam();
  const TempFolder folder;
  const GoldenModel golden = testing::open_golden(name);
  ASSERT_TRUE(golden.model);
  const auto rows = folder.path() / "rows.gguf";
  const auto panels = folder.path() / "panels.gguf";
  const auto at_once = folder.path() / "at-once.gguf";
  const auto back = folder.path() / "back.gguf";
  write(golden.checkpoint, rows, type, false);
  write(golden.checkpoint, at_once, type, true);
  write(open_shared(rows), panels, "", true);
  write(open_shared(panels), back, "", false);
  EXPECT_EQ(contents_of(panels), contents_of(at_once));
  EXPECT_EQ(contents_of(back), contents_of(rows));
  write(open_shared(panels), back, "", true);
  EXPECT_EQ(contents_of(back), contents_of(panels));
  for (const ops::Device device : {ops::Device::kCpu, ops::Device::kRef}) {
    EXPECT_EQ(logits(golden, panels, device), logits(golden, rows, device));
  }
}

// Tied and untied heads, rows in the order of files and interleaved.
INSTANTIATE_TEST_SUITE_P(Golden, Panels,
                         ::testing::Combine(::testing::Values("qwen3-f32", "qwen3-yarn-bf16",
                                                              "llama-bf16"),
                                            ::testing::Values("Q4_0", "Q8_0", "BF16")));

TEST(Panels, HoldWhatProductsReadAndNothingElse) {
  const TempFolder folder;
  const auto path = folder.path() / "panels.gguf";
  for (const bool tied : {false, true}) {
    write(open_tiny(tied ? "qwen3-yarn-bf16" : "qwen3-f32"), path, "Q8_0", true);
    const auto file = open_shared(path);
    EXPECT_EQ(*file->metadata().integer("general.alignment"), 64);
    for (const TensorEntry& entry : file->tensors()) {
      const bool looked_up = !tied && entry.name == "token_embd.weight";
      EXPECT_EQ(entry.panels != nullptr, entry.data.rank() == 2 && !looked_up) << entry.name;
      EXPECT_NE(entry.panels != nullptr, static_cast<bool>(entry.data)) << entry.name;
    }
    auto model = model::Model::load(file);
    ASSERT_TRUE(model) << model.error().message;
  }
}

// A file of one matrix in panels.
fs::path one_matrix(const TempFolder& folder, DType type, int64_t rows, int64_t columns,
                    std::span<const std::byte> bytes) {
  auto path = folder.path() / "one.gguf";
  formats::GgufPairList pairs;
  pairs.set("general.architecture", "llama");
  pairs.set<uint32_t>("llama.block_count", 1);
  auto writer = formats::GgufWriter::create(path, pairs,
                                            {{"blk.0.attn_q.weight", type, {rows, columns}, true}});
  EXPECT_TRUE(writer);
  EXPECT_TRUE(writer->write(bytes));
  EXPECT_TRUE(writer->finish());
  return path;
}

TEST(Panels, ThatAreNotFullAreFilledUp) {
  const TempFolder folder;
  ThreadPool pool(1);
  for (const int64_t rows : {1, 15, 16, 17}) {
    std::vector<float> values(static_cast<size_t>(rows * 3));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 20;
    std::vector<std::byte> panels(static_cast<size_t>(ops::panels_bytes(DType::kF32, rows, 3)));
    ops::pack_panels(pool, ConstTensor(values.data(), DType::kF32, {rows, 3}), panels.data());
    const auto path = one_matrix(folder, DType::kF32, rows, 3, panels);
    const auto back = folder.path() / "back.gguf";
    write(open_shared(path), back, "", false);
    const auto file = open_shared(back);
    const TensorEntry* entry = file->find("blk.0.attn_q.weight");
    ASSERT_EQ(entry->data.size(0), rows);
    EXPECT_EQ(std::memcmp(entry->data.data(), values.data(), values.size() * sizeof(float)), 0);
    // Without the last row of the last panel the file is cut short.
    std::string bytes = contents_of(path);
    bytes.resize(bytes.size() - 32);
    const auto cut = Checkpoint::open(folder.write("cut.gguf", bytes));
    ASSERT_FALSE(cut);
    EXPECT_NE(cut.error().message.find("cut short"), std::string::npos) << cut.error().message;
  }
}

TEST(Panels, OfTypesThatHaveNoneAreRefused) {
  const TempFolder folder;
  const std::vector<std::byte> bytes(16 * 4 * 256);
  const auto take = [&](size_t count) { return std::span(bytes).first(count); };
  for (const auto& path : {one_matrix(folder, DType::kIQ2_S, 16, 256, take(16 * 82)),
                           one_matrix(folder, DType::kI32, 16, 8, take(16 * 32)),
                           one_matrix(folder, DType::kBF16, 16, 3, take(16 * 6))}) {
    const auto source = open_source(open_shared(path));
    ASSERT_FALSE(source);
    EXPECT_NE(source.error().message.find("lies in panels"), std::string::npos);
  }
}

}  // namespace
}  // namespace hachi::quantize
