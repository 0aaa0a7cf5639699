// A prompt of 65,000 tokens and the answer after it, against the processor in f32.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "core/random.h"
#include "engine/model_runner.h"
#include "engine/step_logits.h"
#include "gpu/gpu_fixture.h"
#include "model/synthetic.h"

namespace hachi {
namespace {

using engine::ModelRunner;
using engine::testing::relative_error;

constexpr int64_t kPrompt = 65000;
constexpr int64_t kAnswer = 8;
constexpr int64_t kLooked = 64;  // the last tokens of the prompt whose logits are compared
constexpr int64_t kContext = 65536;
constexpr int64_t kChunk = 4096;

class LongContext : public testing::GpuTest {
 protected:
  // Random tokens, with the prompt's last 200 planted at ten depths.
  static std::vector<int32_t> tokens(int64_t vocab) {
    std::vector<int32_t> ids(kPrompt + kAnswer);
    for (size_t i = 0; i < ids.size(); ++i) {
      ids[i] = static_cast<int32_t>(uniform(7, i) * static_cast<double>(vocab));
    }
    for (int64_t depth = 0; depth < 10; ++depth) {
      std::copy_n(ids.begin() + kPrompt - 200, 200, ids.begin() + depth * (kPrompt - 400) / 9);
    }
    return ids;
  }

  // The logits after the last tokens of the prompt and those of the answer, one token a step.
  static std::vector<float> logits(const model::Model& model, ops::Gpu* gpu, DType kv_dtype,
                                   std::span<const int32_t> ids) {
    auto made = ModelRunner::create(model, {.cache_tokens = kContext,
                                            .max_tokens = kChunk,
                                            .max_rows = kLooked,
                                            .kv_dtype = kv_dtype,
                                            .gpu = gpu});
    EXPECT_TRUE(made) << made.error().message;
    ModelRunner& runner = **made;
    std::vector<int32_t> pages(static_cast<size_t>(runner.num_pages()));
    std::iota(pages.rbegin(), pages.rend(), 0);
    std::vector<float> all;
    for (int64_t at = 0; at < static_cast<int64_t>(ids.size());) {
      const int64_t count = at < kPrompt ? std::min(kChunk, kPrompt - at) : 1;
      std::vector<int32_t> positions(static_cast<size_t>(count));
      std::iota(positions.begin(), positions.end(), static_cast<int32_t>(at));
      const ops::SequenceSpan span{0, count, pages};
      runner.forward({ids.subspan(static_cast<size_t>(at), static_cast<size_t>(count)),
                      positions,
                      {&span, 1}});
      at += count;
      if (at < kPrompt) continue;
      std::vector<int64_t> rows(static_cast<size_t>(std::min(count, kLooked)));
      std::iota(rows.begin(), rows.end(), count - static_cast<int64_t>(rows.size()));
      const ConstTensor out = runner.logits(rows);
      all.insert(all.end(), out.as<float>(), out.as<float>() + out.size(0) * out.size(1));
    }
    return all;
  }
};

TEST_F(LongContext, LogitsAreThoseOfTheProcessor) {
  auto checkpoint = model::synthetic_checkpoint("synthetic:tiny-64k:bf16");
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const auto shared = std::make_shared<const formats::Checkpoint>(*std::move(checkpoint));
  auto on_cpu = model::Model::load(shared);
  auto on_gpu = model::Model::load(shared);
  ASSERT_TRUE(on_cpu && on_gpu);
  place(*on_gpu);
  const std::vector<int32_t> ids = tokens(on_cpu->config().vocab_size);
  const auto expected = logits(*on_cpu, nullptr, DType::kF32, ids);
  const auto prompt = static_cast<size_t>(kLooked * on_cpu->config().vocab_size);
  for (const DType type : {DType::kBF16, DType::kF16, DType::kF8E4M3}) {
    const auto got = logits(*on_gpu, gpu_.get(), type, ids);
    const double of_prompt =
        relative_error(std::span(got).first(prompt), std::span(expected).first(prompt));
    const double of_answer =
        relative_error(std::span(got).subspan(prompt), std::span(expected).subspan(prompt));
    printf("  cache of %s: prompt %.2e, answer %.2e\n", std::string(name(type)).c_str(), of_prompt,
           of_answer);
    const double most = type == DType::kF8E4M3 ? 4e-2 : 1e-2;
    EXPECT_LE(of_prompt, most);
    EXPECT_LE(of_answer, most);
  }
}

}  // namespace
}  // namespace hachi
