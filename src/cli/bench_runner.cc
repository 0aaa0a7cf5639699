#include "cli/bench_runner.h"

#include <algorithm>
#include <numeric>

#include "core/clock.h"
#include "core/random.h"
#include "engine/session.h"
#include "kernels/kv_store.h"

namespace hachi::cli {
namespace {

constexpr int64_t kPageTokens = model::KvCache::kPageTokens;

}  // namespace

BenchRunner::BenchRunner(const model::Model& model, int64_t sequences, int64_t context)
    : model_(&model),
      context_((context + kPageTokens - 1) / kPageTokens * kPageTokens),
      max_tokens_(std::max(engine::SessionOptions{}.chunk, sequences)),
      pages_(static_cast<size_t>(sequences * context_ / kPageTokens)),
      filled_(static_cast<size_t>(sequences)),
      ids_(static_cast<size_t>(max_tokens_)),
      positions_(static_cast<size_t>(max_tokens_)) {
  std::iota(pages_.begin(), pages_.end(), 0);
  for (size_t i = 0; i < ids_.size(); ++i) {
    const double vocab = static_cast<double>(model.config().vocab_size);
    ids_[i] = static_cast<int32_t>(uniform(1, i) * vocab);
  }
}

Result<BenchRunner> BenchRunner::create(const model::Model& model, int64_t sequences,
                                        int64_t context, DType kv_dtype) {
  const model::ModelConfig& config = model.config();
  BenchRunner runner(model, sequences, context);
  TRY(runner.cache_,
      model::KvCache::allocate(config, static_cast<int64_t>(runner.pages_.size()), kv_dtype));
  TRY(runner.memory_, Buffer::allocate(model::Activations::bytes(config, runner.max_tokens_)));
  runner.activations_ = model::Activations::over(runner.memory_, config, runner.max_tokens_);
  const auto logits = static_cast<uint64_t>(sequences * config.vocab_size) * sizeof(float);
  TRY(runner.logits_memory_, Buffer::allocate(logits));
  runner.logits_ =
      Tensor(runner.logits_memory_.data(), DType::kF32, {sequences, config.vocab_size});
  return runner;
}

void BenchRunner::set_threads(int threads, bool pin) {
  ctx_.pool = nullptr;
  pool_.reset();  // the old threads end before the new ones start
  pool_ = std::make_unique<ThreadPool>(threads, pin ? Pinning::kCores : Pinning::kFree);
  ctx_.pool = pool_.get();
}

std::span<const int32_t> BenchRunner::pages_of(int64_t sequence) const {
  const auto count = static_cast<size_t>(context_ / kPageTokens);
  return std::span(pages_).subspan(static_cast<size_t>(sequence) * count, count);
}

void BenchRunner::fill(int64_t sequence, int64_t begin, int64_t end) {
  const model::ModelConfig& config = model_->config();
  const int64_t width = config.num_kv_heads * config.head_dim;
  const int64_t count = end - begin;
  const Tensor keys = activations_.qkv.rows(0, count).columns(0, width);
  const Tensor values = activations_.qkv.rows(0, count).columns(width, width);
  for (int64_t t = 0; t < count; ++t) {
    for (int64_t i = 0; i < width; ++i) {
      const auto at = static_cast<uint64_t>(t * width + i);
      const auto words = philox4x32({static_cast<uint32_t>(at), 0, 0, 0}, {1, 0});
      keys.row<float>(t)[i] = static_cast<float>(words[0]) * 0x1p-31f - 1;
      values.row<float>(t)[i] = static_cast<float>(words[1]) * 0x1p-31f - 1;
    }
  }
  const std::span<int32_t> positions(positions_.data(), static_cast<size_t>(count));
  std::iota(positions.begin(), positions.end(), static_cast<int32_t>(begin));
  const ops::SequenceSpan span{0, count, pages_of(sequence)};
  const ops::BatchView batch{{}, positions, {&span, 1}};
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    ops::kv_store(ctx_, cache_.layer(static_cast<size_t>(layer)), keys, values, batch);
  }
}

void BenchRunner::fill_to(int64_t depth, int64_t sequences) {
  for (int64_t i = 0; i < sequences; ++i) {
    int64_t& filled = filled_[static_cast<size_t>(i)];
    while (filled < depth) {
      const int64_t end = std::min(filled + max_tokens_, depth);
      fill(i, filled, end);
      filled = end;
    }
  }
}

bool BenchRunner::prefill(int64_t begin, int64_t end, const std::function<bool()>& should_stop) {
  int64_t count = 0;
  for (int64_t at = begin; at < end; at += count) {
    if (should_stop()) return false;
    count = std::min(engine::SessionOptions{}.chunk, end - at);
    const auto size = static_cast<size_t>(count);
    const std::span<int32_t> positions(positions_.data(), size);
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(at));
    const ops::SequenceSpan span{0, count, pages_of(0)};
    model_->forward(ctx_, {std::span(ids_).first(size), positions, {&span, 1}}, cache_,
                    activations_.first(count));
  }
  model_->logits(ctx_, logits_.rows(0, 1), activations_.x.rows(count - 1, 1),
                 activations_.normed.rows(count - 1, 1));
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
  model_->forward(ctx_, {std::span(ids_).first(size), positions, spans}, cache_,
                  activations_.first(sequences));
  model_->logits(ctx_, logits_.rows(0, sequences), activations_.x.rows(0, sequences),
                 activations_.normed.rows(0, sequences));
}

std::optional<double> BenchRunner::run(const BenchTask& task,
                                       const std::function<bool()>& should_stop) {
  fill_to(task.depth, task.sequences);
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

void BenchRunner::first_token() { step(0, 1); }

}  // namespace hachi::cli
