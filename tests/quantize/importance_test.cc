#include "quantize/importance.h"

#include <array>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "formats/gguf_writer.h"
#include "formats/temp_folder.h"
#include "kernels/dequantize.h"
#include "model/weights.h"
#include "quantize/calibration.h"
#include "quantize/layer_runner.h"
#include "tiny_model.h"

namespace hachi::quantize {
namespace {

using formats::TempFolder;

Importance some_importance() {
  Importance importance;
  importance.datasets = {"book.txt"};
  importance.num_chunks = 3;
  importance.chunk_size = 512;
  importance.matrices["blk.0.attn_q.weight"] = {{1, 2, 4}, 2};
  importance.matrices["blk.0.ffn_down.weight"] = {{0, 0.5f}, 0};
  return importance;
}

TEST(Importance, ComesBackFromItsFile) {
  const TempFolder folder;
  const auto path = folder.path() / "x.imatrix";
  ASSERT_TRUE(write_importance(path, some_importance()));
  const auto back = read_importance(path);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->datasets, (std::vector<std::string>{"book.txt"}));
  EXPECT_EQ(back->num_chunks, 3);
  EXPECT_EQ(back->chunk_size, 512);
  ASSERT_EQ(back->matrices.size(), 2U);
  const InputSquares& query = back->matrices.at("blk.0.attn_q.weight");
  EXPECT_EQ(query.tokens, 2);
  EXPECT_EQ(query.means(), (std::vector<float>{0.5f, 1, 2}));
  // No token reached it: all its inputs count the same.
  EXPECT_EQ(back->matrices.at("blk.0.ffn_down.weight").means(), (std::vector<float>{1, 1}));
  // As llama.cpp names and shapes them.
  const auto file = formats::Checkpoint::open(path);
  ASSERT_TRUE(file);
  EXPECT_EQ(*file->metadata().string("general.type"), "imatrix");
  const auto* sums = file->find("blk.0.attn_q.weight.in_sum2");
  ASSERT_NE(sums, nullptr);
  EXPECT_EQ(sums->data.size(0), 1);
  EXPECT_EQ(sums->data.size(1), 3);
  EXPECT_NE(file->find("blk.0.attn_q.weight.counts"), nullptr);
}

// A file that is wrong in one way.
struct Wrong {
  std::string name = "blk.0.attn_q.weight.in_sum2";
  std::vector<int64_t> sizes = {1, 2};
  DType dtype = DType::kF32;
  std::vector<float> sums = {1, 2};
  std::string counts_name = "blk.0.attn_q.weight.counts";
  std::vector<float> counts = {1};
  std::string type = "imatrix";
};

Result<Importance> read_wrong(const Wrong& wrong) {
  const TempFolder folder;
  const auto path = folder.path() / "wrong.imatrix";
  formats::GgufPairList pairs;
  pairs.set("general.type", wrong.type);
  TRY(auto writer,
      formats::GgufWriter::create(
          path, pairs,
          {{wrong.name, wrong.dtype, wrong.sizes},
           {wrong.counts_name, DType::kF32, {static_cast<int64_t>(wrong.counts.size())}}}));
  TRY(writer.write(std::as_bytes(std::span(wrong.sums))));
  TRY(writer.write(std::as_bytes(std::span(wrong.counts))));
  TRY(writer.finish());
  return read_importance(path);
}

TEST(Importance, WrongFilesAreSentences) {
  ASSERT_TRUE(read_wrong({}));
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<Wrong, std::string>> cases = {
      {{.type = "model"}, "not an importance matrix"},
      {{.name = "blk.0.attn_q.weight"}, "no matrix"},
      {{.counts_name = "other.counts"}, "has no .counts beside it"},
      {{.sums = {1, -1}}, "holds -1"},
      {{.sums = {infinity, 1}}, "holds inf"},
      {{.counts = {1, 1}}, "one number of tokens"},
      {{.counts = {1e30f}}, "one number of tokens"},
      {{.counts = {std::nanf("")}}, "holds nan"},
      {{.sizes = {2, 1}}, "2 experts"},
      {{.dtype = DType::kI32}, "must be F32"},
  };
  for (const auto& [wrong, words] : cases) {
    const auto read = read_wrong(wrong);
    ASSERT_FALSE(read) << words;
    EXPECT_NE(read.error().message.find(words), std::string::npos) << read.error().message;
    EXPECT_NE(read.error().message.find("wrong.imatrix"), std::string::npos);
  }
  EXPECT_FALSE(read_importance("/nowhere/at/all"));
}

// The squares of all inputs with the plain ops, on one thread.
class PlainSquares : public model::LayerObserver {
 public:
  void see(model::LayerInput which, ConstTensor x) override {
    auto& sums = sums_[static_cast<size_t>(which)];
    sums.resize(static_cast<size_t>(x.size(1)));
    for (int64_t t = 0; t < x.size(0); ++t) {
      for (int64_t i = 0; i < x.size(1); ++i) {
        sums[static_cast<size_t>(i)] += std::pow(static_cast<double>(x.row<float>(t)[i]), 2);
      }
    }
  }
  std::array<std::vector<double>, 4> sums_;
};

TEST(Importance, IsThatOfThePlainOps) {
  const auto checkpoint = open_tiny("qwen3-f32");
  const auto config = model::read_config(*checkpoint, {});
  ASSERT_TRUE(config);
  const auto chunks = random_chunks(3, 40, static_cast<int32_t>(config->vocab_size));
  ThreadPool pool(3);
  const auto measured = measure_importance(checkpoint, chunks, pool, {}, {});
  ASSERT_TRUE(measured) << measured.error().message;
  EXPECT_EQ(measured->num_chunks, 3);
  EXPECT_EQ(measured->matrices.size(), static_cast<size_t>(7 * config->num_layers));

  auto runner = LayerRunner::create(checkpoint, 40, pool);
  ASSERT_TRUE(runner);
  runner->context().device = ops::Device::kRef;
  std::vector<PlainSquares> plain(static_cast<size_t>(config->num_layers));
  for (const auto& chunk : chunks) {
    runner->embed(chunk);
    for (int64_t i = 0; i < config->num_layers; ++i) {
      runner->run(i, &plain[static_cast<size_t>(i)]);
    }
  }
  for (int64_t layer = 0; layer < config->num_layers; ++layer) {
    for (const auto input : {model::LayerInput::kAttention, model::LayerInput::kOut,
                             model::LayerInput::kFfn, model::LayerInput::kDown}) {
      const auto& expected = plain[static_cast<size_t>(layer)].sums_[static_cast<size_t>(input)];
      for (const std::string& name : matrices_of(input, layer, false)) {
        const InputSquares& squares = measured->matrices.at(name);
        EXPECT_EQ(squares.tokens, 120);
        ASSERT_EQ(squares.sums.size(), expected.size()) << name;
        for (size_t i = 0; i < expected.size(); ++i) {
          EXPECT_NEAR(squares.sums[i] / expected[i], 1, 1e-4) << name << " " << i;
        }
      }
    }
  }
}

// The first input from its formula alone: RMSNorm of the embeddings.
TEST(Importance, OfTheFirstInputIsItsFormula) {
  const auto checkpoint = open_tiny("qwen3-f32");
  const auto config = *model::read_config(*checkpoint, {});
  const auto weights = *model::load_weights(*checkpoint, config);
  const auto chunks = random_chunks(1, 25, static_cast<int32_t>(config.vocab_size));
  ThreadPool pool(1);
  const auto measured = measure_importance(checkpoint, chunks, pool, {}, {});
  ASSERT_TRUE(measured);
  const auto width = static_cast<size_t>(config.hidden_size);
  std::vector<double> expected(width);
  std::vector<float> row(width);
  ops::Context plain{.device = ops::Device::kRef};
  for (const int32_t token : chunks[0]) {
    ops::dequantize(plain, Tensor(row.data(), DType::kF32, {1, config.hidden_size}),
                    weights.embedding, token);
    double squares = 0;
    for (const float x : row) squares += static_cast<double>(x) * static_cast<double>(x);
    const double scale =
        1 / std::sqrt(squares / static_cast<double>(width) + static_cast<double>(config.norm_eps));
    for (size_t i = 0; i < width; ++i) {
      const double norm = static_cast<double>(weights.layers[0].attention_norm.as<float>()[i]);
      expected[i] += std::pow(static_cast<double>(row[i]) * scale * norm, 2);
    }
  }
  const InputSquares& squares = measured->matrices.at("blk.0.attn_k.weight");
  for (size_t i = 0; i < width; ++i) EXPECT_NEAR(squares.sums[i] / expected[i], 1, 1e-5);
}

TEST(Importance, StopsWhenAsked) {
  ThreadPool pool(1);
  const auto stopped = measure_importance(open_tiny("qwen3-f32"), random_chunks(1, 8, 16), pool, {},
                                          [] { return true; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Code::kCancelled);
}

}  // namespace
}  // namespace hachi::quantize
