#include "engine/model_runner.h"

#include <cstring>

#include "core/check.h"

namespace hachi::engine {
namespace {

constexpr int64_t kPageTokens = model::KvCache::kPageTokens;

}  // namespace

ModelRunner::ModelRunner(const model::Model& model, const RunnerOptions& options)
    : model_(&model),
      max_tokens_(options.max_tokens),
      max_rows_(options.max_rows),
      pool_(std::make_unique<ThreadPool>(options.threads > 0 ? options.threads : usable_cpus(),
                                         options.pinning)) {
  ctx_.device = options.device;
  ctx_.pool = pool_.get();
}

Result<std::unique_ptr<ModelRunner>> ModelRunner::create(const model::Model& model,
                                                         const RunnerOptions& options) {
  CHECK(options.cache_tokens > 0 && options.max_tokens > 0 && options.max_rows > 0);
  const model::ModelConfig& config = model.config();
  std::unique_ptr<ModelRunner> runner(new ModelRunner(model, options));
  const int64_t num_pages = (options.cache_tokens + kPageTokens - 1) / kPageTokens;
  TRY(runner->cache_, model::KvCache::allocate(config, num_pages, options.kv_dtype));
  TRY(runner->memory_, Buffer::allocate(model::Activations::bytes(config, options.max_tokens)));
  runner->activations_ = model::Activations::over(runner->memory_, config, options.max_tokens);
  const auto hidden = static_cast<uint64_t>(config.hidden_size);
  const auto vocab = static_cast<uint64_t>(config.vocab_size);
  const auto rows = static_cast<uint64_t>(options.max_rows);
  TRY(runner->rows_memory_, Buffer::allocate((2 * hidden + vocab) * rows * sizeof(float)));
  std::byte* at = runner->rows_memory_.data();
  for (Tensor* tensor : {&runner->gathered_, &runner->normed_}) {
    *tensor = Tensor(at, DType::kF32, {options.max_rows, config.hidden_size});
    at += hidden * rows * sizeof(float);
  }
  runner->logits_ = Tensor(at, DType::kF32, {options.max_rows, config.vocab_size});
  return runner;
}

void ModelRunner::forward(const ops::BatchView& batch) {
  const auto count = static_cast<int64_t>(batch.ids.size());
  CHECK(count <= max_tokens_);
  model_->forward(ctx_, batch, cache_, activations_.first(count));
}

Tensor ModelRunner::gather(std::span<const int64_t> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  CHECK(count <= max_rows_);
  const Tensor gathered = gathered_.rows(0, count);
  const auto bytes = static_cast<size_t>(hidden_size()) * sizeof(float);
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(gathered.row<float>(i), activations_.x.row<float>(rows[static_cast<size_t>(i)]),
                bytes);
  }
  return gathered;
}

ConstTensor ModelRunner::logits(std::span<const int64_t> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  const Tensor logits = logits_.rows(0, count);
  model_->logits(ctx_, logits, gather(rows), normed_.rows(0, count));
  return logits;
}

ConstTensor ModelRunner::hidden(std::span<const int64_t> rows) {
  const Tensor normed = normed_.rows(0, static_cast<int64_t>(rows.size()));
  model_->hidden(ctx_, normed, gather(rows));
  return normed;
}

}  // namespace hachi::engine
