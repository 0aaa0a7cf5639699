// What `hachi bench` times: prefills and decode steps of one model, of one sequence or several at
// once, on a cache that holds any number of tokens.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/buffer.h"
#include "core/result.h"
#include "engine/model_runner.h"
#include "engine/rank_group.h"
#include "kernels/collective.h"
#include "kernels/stages.h"
#include "model/model.h"

namespace hachi::cli {

// One row of the table: what runs, and how long it took each time.
struct BenchTask {
  enum class Kind { kPrefill, kDecode };
  Kind kind = Kind::kPrefill;
  int64_t tokens = 0;     // of one prompt; or steps, each with one token of every sequence
  int64_t depth = 0;      // tokens that each sequence's cache holds before
  int64_t sequences = 1;  // of a decode
};

class BenchRunner {
 public:
  // `sequences` and `context` (tokens of each) are the most that any task has. The model outlives
  // it, and the GPU that its weights are on, if they are on one.
  static Result<BenchRunner> create(const model::Model& model, ops::Gpu* gpu, int64_t sequences,
                                    int64_t context, DType kv_dtype);

  // The model is a rank's part, and this rank the first. Both outlive it. Before set_threads(),
  // which then counts once.
  void lead(engine::RankGroup& group, ops::Collective& collective);
  // In place of all that follows, on the other ranks: until the first has ended.
  Result<void> follow(engine::RankGroup& group, ops::Collective& collective, int threads, bool pin);

  // Before anything runs, and again for other numbers.
  Result<void> set_threads(int threads, bool pin);
  ThreadPool& pool() { return runner_->pool(); }

  // Runs `task` once and gives the seconds; nothing if should_stop() was true at a step's start.
  // Before the clock runs the cache is filled up to the task's depth: on processors with random
  // keys and values, as how long attention takes does not depend on what they are.
  std::optional<double> run(const BenchTask& task, const std::function<bool()>& should_stop);

  // Where the time of run() goes, in seconds of all its steps.
  using Stages = std::array<double, ops::kNumStages>;
  std::optional<Stages> stages(const BenchTask& task, const std::function<bool()>& should_stop);

  // Runs one token on an empty cache and its logits.
  void first_token();

 private:
  BenchRunner(const model::Model& model, ops::Gpu* gpu, int64_t sequences, int64_t context);

  // False if should_stop() was true.
  bool fill_to(int64_t depth, int64_t sequences, const std::function<bool()>& should_stop);
  void fill(int64_t sequence, int64_t begin, int64_t end);
  void forward(int64_t sequence, int64_t begin, int64_t end);
  // Tokens [begin, end) of one sequence, in chunks, and the most likely next one.
  bool prefill(int64_t begin, int64_t end, const std::function<bool()>& should_stop);
  // One token of each sequence at `position`, and the most likely next ones.
  void step(int64_t position, int64_t sequences);
  // The most likely tokens after these rows of the last batch.
  void draw(std::span<const int64_t> rows);
  std::span<const int32_t> pages_of(int64_t sequence) const;
  Result<std::unique_ptr<engine::ModelRunner>> make_runner(int threads, bool pin) const;

  const model::Model* model_;
  ops::Gpu* gpu_;
  int64_t sequences_;
  int64_t context_;  // rounded up to whole pages
  int64_t chunk_;    // of a prefill
  DType kv_dtype_ = DType::kF16;
  engine::RankGroup* group_ = nullptr;  // with several ranks
  ops::Collective* collective_ = nullptr;
  std::unique_ptr<engine::StepModel> steps_;  // runner_, or what leads other ranks and it
  engine::ModelRunner* runner_ = nullptr;
  std::vector<int32_t> pages_;   // of the first sequence, then of the second, …
  std::vector<int64_t> filled_;  // tokens of each sequence that stand in the cache
  std::vector<int32_t> ids_;
  std::vector<int32_t> positions_;
  std::vector<int64_t> rows_;  // 0, 1, … of the sequences
  std::vector<std::optional<ops::DrawRow>> greedy_;
  Buffer random_memory_;  // keys and values to fill with: [chunk, 2*G*D]
};

}  // namespace hachi::cli
