// Session: one sequence of tokens with its KV cache on a model: prefill in chunks, decode, score.
// The tokens and the logits do not depend on the number of threads, on the chunk size, or on what
// the cache already held.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/result.h"
#include "core/tensor.h"
#include "engine/model_runner.h"
#include "engine/pages.h"

namespace hachi::engine {

struct SessionOptions {
  int threads = 0;  // 0: as many as this process may use
  Pinning pinning = Pinning::kFree;
  int64_t context = 0;           // tokens that fit; 0: the model's own, up to kDefaultContext
  int64_t chunk = 0;             // tokens of a prefill step; 0: kChunk, on a GPU kGpuChunk
  DType kv_dtype = DType::kF16;  // as KvCache::allocate() has it
  ops::Device device = ops::Device::kCpu;
  ops::Gpu* gpu = nullptr;  // as RunnerOptions
};

inline constexpr int64_t kDefaultContext = 16384;
inline constexpr int64_t kChunk = 256;
inline constexpr int64_t kGpuChunk = 4096;

struct TokenScore {
  float logprob;  // natural logarithm of the token's probability after those before it
  bool greedy;    // it is the most likely one
};

// Told after each chunk how many of how many tokens are done.
using Progress = std::function<void(int64_t done, int64_t total)>;

// Asked between steps; true ends the work. Must be cheap.
using ShouldStop = std::function<bool()>;

// One caller at a time. The model outlives it.
class Session {
 public:
  static Result<Session> create(const model::Model& model, const SessionOptions& options);

  int64_t context() const { return context_; }
  int64_t chunk() const { return runner_->max_tokens(); }
  int threads() const { return runner_->pool().num_threads(); }
  int64_t vocab_size() const { return runner_->vocab_size(); }

  // The tokens whose keys and values the cache holds.
  std::span<const int32_t> tokens() const { return tokens_; }

  // Makes the sequence `tokens` (at least one): keeps what the cache already has of its beginning,
  // runs the rest, and is ready for logits(). Returns how many were kept. Fails with
  // kContextTooLong, or with kCancelled once should_stop() is true; what was run by then is kept.
  Result<int64_t> prefill(std::span<const int32_t> tokens, const Progress& progress = {},
                          const ShouldStop& should_stop = {});

  // Appends one token.
  Result<void> decode(int32_t token);

  // [V], of the position after the last token; until the next call.
  std::span<const float> logits();

  // A token drawn after the last one where the logits are; nothing if the model leaves that to who
  // has its logits().
  std::optional<int32_t> draw(const ops::DrawRow& how);

  // Makes the sequence `tokens` (1 to the chunk size) in one step and from nothing, so that
  // logits_after() can give the logits after any of them. For measuring: prefill() keeps more.
  Result<void> run_whole(std::span<const int32_t> tokens);

  // [count, V], after the tokens [first, first + count) of run_whole(), count <= kLogitRows; until
  // the next call.
  ConstTensor logits_after(int64_t first, int64_t count);

  // Rows of logits at once: enough to read the output matrix seldom, few enough to stay small.
  static constexpr int64_t kLogitRows = 16;

  // Makes the sequence `tokens` and scores tokens[first...], each after those before it; first
  // >= 1.
  Result<std::vector<TokenScore>> score(std::span<const int32_t> tokens, int64_t first,
                                        const Progress& progress = {},
                                        const ShouldStop& should_stop = {});

 private:
  Session(std::unique_ptr<ModelRunner> runner, int64_t context);

  Result<void> check_tokens(std::span<const int32_t> tokens) const;
  // How many tokens from the start the cache has in common with `tokens`.
  int64_t shared_prefix(std::span<const int32_t> tokens) const;
  void truncate(int64_t num_tokens);
  // Runs at most a chunk of tokens; their rows of the runner's batch start at 0.
  void run(std::span<const int32_t> tokens);
  void score_rows(std::span<const int32_t> targets, int64_t first_row,
                  std::vector<TokenScore>& scores);

  std::unique_ptr<ModelRunner> runner_;
  int64_t context_;
  std::unique_ptr<PagePool> page_pool_;
  std::unique_ptr<PageList> pages_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> positions_;  // of the chunk that runs
  int64_t last_row_ = 0;            // of the last batch
  std::span<const float> logits_;   // after it, if they were asked for
};

}  // namespace hachi::engine
