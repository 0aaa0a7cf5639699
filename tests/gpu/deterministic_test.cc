// --deterministic: a token's logits have the same bits in steps of any kind, beside any others.
#include <numeric>

#include <gtest/gtest.h>

#include "core/random.h"
#include "engine/model_runner.h"
#include "gpu/gpu_fixture.h"
#include "model/synthetic.h"

namespace hachi {
namespace {

using engine::ModelRunner;

std::vector<int32_t> random_ids(uint64_t seed, size_t count, int64_t vocab) {
  std::vector<int32_t> ids(count);
  for (size_t i = 0; i < count; ++i) {
    ids[i] = static_cast<int32_t>(uniform(seed, i) * static_cast<double>(vocab));
  }
  return ids;
}

class GpuDeterministic : public testing::GpuTest,
                         public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { open({.deterministic = true}); }

  // The logits after each of `ids`, `step` of them at a time, beside as many sequences of
  // `beside` tokens each as there are pages for.
  std::vector<float> logits(ModelRunner& runner, std::span<const int32_t> ids, size_t step,
                            size_t beside) {
    const std::vector<int32_t> pages = {9, 0, 4};
    const std::vector<int32_t> others[] = {{1}, {7}, {3}, {8}, {2}};
    std::vector<float> all;
    for (size_t at = 0; at < ids.size(); at += step) {
      const size_t count = std::min(step, ids.size() - at);
      std::vector<int32_t> batch, positions;
      std::vector<ops::SequenceSpan> spans;
      const auto append = [&](std::span<const int32_t> tokens, size_t first,
                              std::span<const int32_t> in) {
        spans.push_back(
            {static_cast<int64_t>(batch.size()), static_cast<int64_t>(tokens.size()), in});
        batch.insert(batch.end(), tokens.begin(), tokens.end());
        for (size_t i = 0; i < tokens.size(); ++i) {
          positions.push_back(static_cast<int32_t>(first + i));
        }
      };
      for (const auto& other : others) {
        if (beside > 0) append(ids.subspan(at % 7, beside), 0, other);
      }
      const auto first = static_cast<int64_t>(batch.size());
      append(ids.subspan(at, count), at, pages);
      runner.forward({batch, positions, spans});
      std::vector<int64_t> rows(count);
      std::iota(rows.begin(), rows.end(), first);
      const ConstTensor out = runner.logits(rows);
      all.insert(all.end(), out.as<float>(), out.as<float>() + out.size(0) * out.size(1));
    }
    return all;
  }
};

TEST_P(GpuDeterministic, LogitsHaveTheSameBitsInAnyStep) {
  auto checkpoint = model::synthetic_checkpoint(std::string("synthetic:") + GetParam());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  auto model =
      model::Model::load(std::make_shared<const formats::Checkpoint>(*std::move(checkpoint)));
  ASSERT_TRUE(model);
  place(*model);
  auto runner = ModelRunner::create(*model, {.threads = 2,
                                             .cache_tokens = 320,
                                             .max_tokens = 256,
                                             .max_rows = 80,
                                             .kv_dtype = DType::kBF16,
                                             .gpu = gpu_.get()});
  ASSERT_TRUE(runner) << runner.error().message;
  const std::vector<int32_t> ids = random_ids(5, 70, model->config().vocab_size);
  const std::vector<float> whole = logits(**runner, ids, ids.size(), 0);
  for (const auto& [step, beside] :
       {std::pair<size_t, size_t>{1, 0}, {1, 1}, {3, 0}, {16, 5}, {33, 1}, {1, 30}}) {
    EXPECT_EQ(logits(**runner, ids, step, beside), whole)
        << step << " tokens a step, beside " << beside;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GpuDeterministic,
                         ::testing::Values("qwen3-0.6b:bf16", "qwen3-0.6b:f8_e4m3",
                                           "qwen3-0.6b:q4_0", "smollm2:q6_k"));

}  // namespace
}  // namespace hachi
