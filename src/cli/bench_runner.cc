#include "cli/bench_runner.h"

#include <algorithm>
#include <numeric>

#include "core/clock.h"
#include "core/random.h"
#include "engine/sampler.h"
#include "engine/session.h"
#include "engine/tensor_parallel.h"
#include "kernels/gpu.h"
#include "kernels/kv_store.h"

namespace hachi::cli {
namespace {

constexpr int64_t kPageTokens = model::KvCache::kPageTokens;

}  // namespace

BenchRunner::BenchRunner(const model::Model& model, ops::Gpu* gpu, int64_t sequences,
                         int64_t context)
    : model_(&model),
      gpu_(gpu),
      sequences_(sequences),
      context_((context + kPageTokens - 1) / kPageTokens * kPageTokens),
      chunk_(gpu != nullptr ? engine::kGpuChunk : engine::kChunk),
      pages_(static_cast<size_t>(sequences * context_ / kPageTokens)),
      ids_(static_cast<size_t>(std::max(chunk_, sequences))),
      positions_(ids_.size()),
      rows_(static_cast<size_t>(sequences)),
      greedy_(rows_.size(), ops::DrawRow()) {
  std::iota(pages_.begin(), pages_.end(), 0);
  std::iota(rows_.begin(), rows_.end(), 0);
  for (size_t i = 0; i < ids_.size(); ++i) {
    const double vocab = static_cast<double>(model.config().vocab_size);
    ids_[i] = static_cast<int32_t>(uniform(1, i) * vocab);
  }
}

Result<BenchRunner> BenchRunner::create(const model::Model& model, ops::Gpu* gpu, int64_t sequences,
                                        int64_t context, DType kv_dtype) {
  const model::ModelConfig& config = model.config();
  BenchRunner runner(model, gpu, sequences, context);
  runner.kv_dtype_ = kv_dtype;
  const auto floats =
      static_cast<uint64_t>(2 * config.num_kv_heads * config.head_dim * runner.chunk_);
  TRY(runner.random_memory_, Buffer::allocate(floats * sizeof(float)));
  return runner;
}

void BenchRunner::lead(engine::RankGroup& group, ops::Collective& collective) {
  group_ = &group;
  collective_ = &collective;
}

Result<std::unique_ptr<engine::ModelRunner>> BenchRunner::make_runner(int threads, bool pin) const {
  const engine::RunnerOptions options{.threads = threads,
                                      .pinning = pin ? Pinning::kCores : Pinning::kFree,
                                      .cache_tokens = sequences_ * context_,
                                      .max_tokens = static_cast<int64_t>(ids_.size()),
                                      .max_rows = sequences_,
                                      .kv_dtype = kv_dtype_,
                                      .gpu = gpu_,
                                      .collective = collective_};
  if (group_ != nullptr) {
    TRY(engine::check_alike(*group_, model_->config(), options));
  }
  return engine::ModelRunner::create(*model_, options);
}

Result<void> BenchRunner::set_threads(int threads, bool pin) {
  if (group_ != nullptr && steps_ != nullptr) return {};
  steps_.reset();  // the old threads end before the new ones start
  filled_.assign(static_cast<size_t>(sequences_), 0);
  TRY(auto runner, make_runner(threads, pin));
  runner_ = runner.get();
  if (group_ == nullptr) {
    steps_ = std::move(runner);
  } else {
    steps_ = std::make_unique<engine::LeadingModel>(*group_, std::move(runner));
  }
  return {};
}

Result<void> BenchRunner::follow(engine::RankGroup& group, ops::Collective& collective, int threads,
                                 bool pin) {
  lead(group, collective);
  TRY(const auto runner, make_runner(threads, pin));
  return engine::follow(group, *runner);
}

std::span<const int32_t> BenchRunner::pages_of(int64_t sequence) const {
  const auto count = static_cast<size_t>(context_ / kPageTokens);
  return std::span(pages_).subspan(static_cast<size_t>(sequence) * count, count);
}

void BenchRunner::fill(int64_t sequence, int64_t begin, int64_t end) {
  const model::ModelConfig& config = model_->config();
  const int64_t width = config.num_kv_heads * config.head_dim;
  const int64_t count = end - begin;
  const Tensor both(random_memory_.data(), DType::kF32, {count, 2 * width});
  for (int64_t t = 0; t < count; ++t) {
    for (int64_t i = 0; i < 2 * width; ++i) {
      const auto at = static_cast<uint32_t>(t * 2 * width + i);
      const auto words = philox4x32({at, 0, 0, 0}, {1, 0});
      both.row<float>(t)[i] = static_cast<float>(words[0]) * 0x1p-31f - 1;
    }
  }
  const std::span<int32_t> positions(positions_.data(), static_cast<size_t>(count));
  std::iota(positions.begin(), positions.end(), static_cast<int32_t>(begin));
  const ops::SequenceSpan span{0, count, pages_of(sequence)};
  const ops::BatchView batch{{}, positions, {&span, 1}};
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    ops::kv_store(runner_->context(), runner_->cache().layer(static_cast<size_t>(layer)),
                  both.columns(0, width), both.columns(width, width), batch);
  }
}

bool BenchRunner::fill_to(int64_t depth, int64_t sequences,
                          const std::function<bool()>& should_stop) {
  for (int64_t i = 0; i < sequences; ++i) {
    int64_t& filled = filled_[static_cast<size_t>(i)];
    while (filled < depth) {
      if (should_stop()) return false;
      const int64_t end = std::min(filled + chunk_, depth);
      gpu_ != nullptr ? forward(i, filled, end) : fill(i, filled, end);
      filled = end;
    }
  }
  if (gpu_ != nullptr) gpu_->wait();
  return true;
}

void BenchRunner::forward(int64_t sequence, int64_t begin, int64_t end) {
  const auto size = static_cast<size_t>(end - begin);
  const std::span<int32_t> positions(positions_.data(), size);
  std::iota(positions.begin(), positions.end(), static_cast<int32_t>(begin));
  const ops::SequenceSpan span{0, end - begin, pages_of(sequence)};
  steps_->forward({std::span(ids_).first(size), positions, {&span, 1}});
}

bool BenchRunner::prefill(int64_t begin, int64_t end, const std::function<bool()>& should_stop) {
  int64_t count = 0;
  for (int64_t at = begin; at < end; at += count) {
    if (should_stop()) return false;
    count = std::min(chunk_, end - at);
    forward(0, at, at + count);
  }
  const int64_t last = count - 1;
  draw({&last, 1});
  return true;
}

void BenchRunner::step(int64_t position, int64_t sequences) {
  const auto size = static_cast<size_t>(sequences);
  const std::span<int32_t> positions(positions_.data(), size);
  std::fill(positions.begin(), positions.end(), static_cast<int32_t>(position));
  std::vector<ops::SequenceSpan> spans;
  for (int64_t i = 0; i < sequences; ++i) spans.push_back({i, 1, pages_of(i)});
  // Other tokens in each step: a small table of embeddings must not stay in the cache.
  std::rotate(ids_.begin(), ids_.begin() + 1, ids_.end());
  steps_->forward({std::span(ids_).first(size), positions, spans});
  draw(std::span(rows_).first(size));
}

void BenchRunner::draw(std::span<const int64_t> rows) {
  const auto drawn = steps_->draw(rows, std::span(greedy_).first(rows.size()));
  if (drawn.tokens.empty()) {
    const auto vocab = static_cast<size_t>(runner_->vocab_size());
    pool().parallel_for(drawn.logits.size(0), 1, [&](int64_t row, int64_t end) {
      for (; row < end; ++row) engine::most_likely({drawn.logits.row<float>(row), vocab});
    });
  }
  ops::mark(runner_->context(), ops::Stage::kDraw);
}

std::optional<double> BenchRunner::run(const BenchTask& task,
                                       const std::function<bool()>& should_stop) {
  if (!fill_to(task.depth, task.sequences, should_stop)) return std::nullopt;
  const int64_t end = task.depth + task.tokens;
  const Stopwatch watch;
  if (task.kind == BenchTask::Kind::kPrefill) {
    if (!prefill(task.depth, end, should_stop)) return std::nullopt;
  } else {
    for (int64_t position = task.depth; position < end; ++position) {
      if (should_stop()) return std::nullopt;
      step(position, task.sequences);
    }
  }
  return watch.seconds();
}

std::optional<BenchRunner::Stages> BenchRunner::stages(const BenchTask& task,
                                                       const std::function<bool()>& should_stop) {
  if (!fill_to(task.depth, task.sequences, should_stop)) return std::nullopt;
  ops::Context& ctx = runner_->context();
  ops::StageTimes times;
  ctx.stages = &times;
  times.begin(ctx);
  const bool whole = run(task, should_stop).has_value();
  const Stages seconds = times.end(ctx);
  ctx.stages = nullptr;
  return whole ? std::optional(seconds) : std::nullopt;
}

void BenchRunner::first_token() { step(0, 1); }

}  // namespace hachi::cli
