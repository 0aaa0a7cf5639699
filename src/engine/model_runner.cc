#include "engine/model_runner.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/checked.h"
#include "core/clock.h"
#include "kernels/collective.h"
#include "kernels/gpu.h"
#include "kernels/step.h"

namespace hachi::engine {
namespace {

constexpr int64_t kPageTokens = model::KvCache::kPageTokens;

// Steps of so many sequences at most, each with one token, are kept as graphs on a GPU.
constexpr int64_t kMaxReplayed = 64;

// What ops take for a while on a GPU: weights that are unpacked, rows in 8 bits, parts of
// attention, kept steps.
uint64_t gpu_scratch_bytes(const model::ModelConfig& config, int64_t max_tokens) {
  constexpr uint64_t kAnyBatch = uint64_t{512} << 20;
  const int64_t width = std::max(config.ffn_size, config.num_heads * config.head_dim);
  return kAnyBatch + static_cast<uint64_t>(max_tokens * width) * 2;
}

// Of gathered rows, normed rows and logits.
uint64_t row_bytes_of(const model::ModelConfig& config, int64_t max_rows) {
  const int64_t width = 2 * config.hidden_size + config.vocab_size;
  return static_cast<uint64_t>(width * max_rows) * sizeof(float);
}

// What the ops of a step depend on, if its sequences have one token each; else 0.
uint64_t replay_shape(const ops::BatchView& batch) {
  const auto count = static_cast<int64_t>(batch.ids.size());
  const bool decode = count == static_cast<int64_t>(batch.sequences.size());
  return decode && count <= kMaxReplayed ? static_cast<uint64_t>(count) : 0;
}

}  // namespace

ModelRunner::ModelRunner(const model::Model& model, const RunnerOptions& options)
    : model_(&model),
      max_tokens_(options.max_tokens),
      max_rows_(options.max_rows),
      pool_(std::make_unique<ThreadPool>(options.threads > 0 ? options.threads : usable_cpus(),
                                         options.pinning)) {
  ctx_.device = options.gpu != nullptr ? ops::Device::kCuda : options.device;
  ctx_.gpu = options.gpu;
  ctx_.collective = options.collective;
  ctx_.pool = pool_.get();
  if (ctx_.gpu != nullptr) points_ = ctx_.gpu->make_points();
}

ModelRunner::~ModelRunner() {
  if (ctx_.gpu != nullptr) ctx_.gpu->forget(this);
}

Result<std::unique_ptr<ModelRunner>> ModelRunner::create(const model::Model& model,
                                                         const RunnerOptions& options) {
  CHECK(options.cache_tokens > 0 && options.max_tokens > 0 && options.max_rows > 0);
  std::unique_ptr<ModelRunner> runner(new ModelRunner(model, options));
  TRY(runner->allocate(options));
  return runner;
}

uint64_t ModelRunner::gpu_work_bytes(const model::ModelConfig& config,
                                     const RunnerOptions& options) {
  return model::Activations::bytes(config, options.max_tokens, DType::kF32) +
         row_bytes_of(config, options.max_rows) +
         ops::draw_bytes(options.max_rows, config.vocab_size) +
         gpu_scratch_bytes(config, options.max_tokens);
}

Result<void> ModelRunner::allocate_host_pages(int64_t count) {
  const auto bytes = checked_mul(static_cast<uint64_t>(count), cache_.page_bytes());
  auto memory = bytes ? ops::HostMemory::allocate(ctx_, *bytes)
                      : Result<ops::HostMemory>(fail(Code::kLimit, "overflow"));
  if (!memory) {
    return fail(Code::kLimit, "{} pages of the KV cache do not fit into the processor's memory",
                count);
  }
  host_cache_ = *std::move(memory);
  host_pages_ = count;
  time_page_copies();
  return {};
}

// Both ways, while no page holds anything yet. On a GPU copies wait in a queue, so that later their
// time could not be told from that of what stands before them.
void ModelRunner::time_page_copies() {
  constexpr int64_t kMostTimed = 16;
  const int64_t count = std::min({kMostTimed, host_pages_, cache_.num_pages()});
  if (count == 0) return;
  std::vector<model::PageCopy> copies(static_cast<size_t>(count));
  for (int32_t i = 0; i < static_cast<int32_t>(count); ++i) copies[static_cast<size_t>(i)] = {i, i};
  double seconds = 0;
  for (int round = 0; round < 2; ++round) {  // the first one touches the memory
    const Stopwatch watch;
    save_pages(copies);
    load_pages(copies);
    if (ctx_.gpu != nullptr) ctx_.gpu->wait();
    seconds = watch.seconds();
  }
  page_copy_seconds_ = seconds / static_cast<double>(2 * count);
}

Result<void> ModelRunner::allocate(const RunnerOptions& options) {
  const model::ModelConfig& config = model_->config();
  const int64_t num_pages = (options.cache_tokens + kPageTokens - 1) / kPageTokens;
  const DType wide = model_->activation_type(ctx_);
  TRY(cache_, model::KvCache::allocate(ctx_, config, num_pages, options.kv_dtype));
  TRY(allocate_host_pages(options.host_pages));
  TRY(memory_,
      ops::Memory::allocate(ctx_, model::Activations::bytes(config, options.max_tokens, wide)));
  activations_ = model::Activations::over(memory_.data(), config, options.max_tokens, wide);
  const auto hidden = static_cast<uint64_t>(config.hidden_size);
  const auto vocab = static_cast<uint64_t>(config.vocab_size);
  const auto rows = static_cast<uint64_t>(options.max_rows);
  TRY(rows_memory_, ops::Memory::allocate(ctx_, row_bytes_of(config, options.max_rows)));
  std::byte* at = rows_memory_.data();
  for (Tensor* tensor : {&gathered_, &normed_}) {
    *tensor = Tensor(at, DType::kF32, {options.max_rows, config.hidden_size});
    at += hidden * rows * sizeof(float);
  }
  logits_ = Tensor(at, DType::kF32, {options.max_rows, config.vocab_size});
  if (ctx_.gpu == nullptr) return {};
  if (draws()) {
    TRY(draw_memory_,
        ops::Memory::allocate(ctx_, ops::draw_bytes(options.max_rows, config.vocab_size)));
  }
  const uint64_t left = ctx_.gpu->memory_limit() - ctx_.gpu->memory_used();
  const uint64_t scratch = gpu_scratch_bytes(config, options.max_tokens);
  if (left < scratch) {
    return fail(Code::kLimit,
                "the GPU has {} MB left for work that takes {} MB: ask for a shorter --context or "
                "more --gpu-memory",
                left >> 20, scratch >> 20);
  }
  const uint64_t widest = std::max(vocab, hidden) * rows * sizeof(float);
  const uint64_t answer = sizeof(int32_t) + sizeof(ops::TokenLogprobs);
  TRY(host_memory_, ops::HostMemory::allocate(ctx_, widest + rows * answer));
  drawn_ = {reinterpret_cast<int32_t*>(host_memory_.data() + widest), rows};
  logprobs_ = {reinterpret_cast<ops::TokenLogprobs*>(drawn_.data() + rows), rows};
  asked_.reserve(rows);
  parts_.reserve(kMaxParts);
  tokens_.resize(rows);
  by_row_.resize(rows);
  return {};
}

void ModelRunner::forward(const ops::BatchView& batch) {
  const auto count = static_cast<int64_t>(batch.ids.size());
  CHECK(count <= max_tokens_);
  num_tokens_ = count;
  if (!std::exchange(copies_beside_next_, false)) join_copies();
  begin_part();
  ops::begin_step(ctx_, batch);
  const uint64_t shape = ctx_.stages == nullptr ? replay_shape(batch) : 0;
  ops::replay(ctx_, {this, shape},
              [&] { model_->forward(ctx_, batch, cache_, activations_.first(count)); });
  end_part();
}

void ModelRunner::begin_part() {
  if (ctx_.gpu == nullptr) return;
  if (parts_.size() == kMaxParts) {
    points_->wait_for(parts_.back().end);
    count_parts(parts_.back().end);
  }
  parts_.push_back({points_->set(), 0, !std::exchange(was_resting_, false)});
}

void ModelRunner::end_part() {
  if (ctx_.gpu != nullptr) parts_.back().end = points_->set();
}

StepModel::DeviceTime ModelRunner::device_time() const {
  if (draft_ == nullptr) return device_time_;
  const double of_draft = draft_->device_time().busy;
  return {device_time_.busy + of_draft, std::max(0.0, device_time_.waiting - of_draft)};
}

void ModelRunner::count_parts(uint64_t reached) {
  size_t count = 0;
  for (; count < parts_.size() && parts_[count].end <= reached; ++count) {
    const Part& part = parts_[count];
    device_time_.busy += points_->seconds_between(part.begin, part.end);
    if (part.follows) device_time_.waiting += points_->seconds_between(last_end_, part.begin);
    last_end_ = part.end;
  }
  parts_.erase(parts_.begin(), parts_.begin() + static_cast<ptrdiff_t>(count));
}

void ModelRunner::join_copies() {
  if (ctx_.gpu != nullptr) ctx_.gpu->join_beside();
}

void ModelRunner::save_pages(std::span<const model::PageCopy> copies) {
  for (const model::PageCopy& copy : copies) CHECK(copy.host_page < host_pages_);
  join_copies();
  cache_.save(ctx_, copies, host_cache_.data());
}

void ModelRunner::save_pages_beside(std::span<const model::PageCopy> copies) {
  for (const model::PageCopy& copy : copies) CHECK(copy.host_page < host_pages_);
  join_copies();
  cache_.save(ctx_, copies, host_cache_.data(), model::KvCache::Way::kBeside);
  copies_beside_next_ = true;
}

void ModelRunner::load_pages(std::span<const model::PageCopy> copies) {
  for (const model::PageCopy& copy : copies) CHECK(copy.host_page < host_pages_);
  join_copies();
  cache_.load(ctx_, copies, host_cache_.data());
}

Tensor ModelRunner::gather(std::span<const int64_t> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  CHECK(count <= max_rows_);
  bool all = count == num_tokens_;
  for (int64_t i = 0; i < count && all; ++i) all = rows[static_cast<size_t>(i)] == i;
  if (all) return activations_.x.rows(0, count);
  const Tensor gathered = gathered_.rows(0, count);
  ops::gather(ctx_, gathered, activations_.x, rows);
  return gathered;
}

ConstTensor ModelRunner::on_host(ConstTensor x) {
  const Tensor host(host_memory_.data(), DType::kF32, {x.size(0), x.size(1)});
  return ops::on_host(ctx_, x, host);
}

Tensor ModelRunner::run_head(std::span<const int64_t> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  const Tensor logits = logits_.rows(0, count);
  model_->logits(ctx_, logits, gather(rows), normed_.rows(0, count));
  return logits;
}

ConstTensor ModelRunner::logits(std::span<const int64_t> rows) { return on_host(run_head(rows)); }

bool ModelRunner::draws() const {
  return ctx_.gpu != nullptr && vocab_size() <= ops::kMaxDrawVocab;
}

void ModelRunner::queue_draw(std::span<const int64_t> rows,
                             std::span<const std::optional<ops::DrawRow>> how) {
  if (!draws()) return StepModel::queue_draw(rows, how);
  asked_.clear();
  num_rows_ = rows.size();
  if (rows.empty()) {
    answer_point_ = points_->set();
    return;
  }
  begin_part();
  const Tensor logits = run_head(rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!how[i]) continue;
    asked_.push_back(*how[i]);
    asked_.back().row = static_cast<int64_t>(i);
  }
  const bool wants_logprobs = std::any_of(asked_.begin(), asked_.end(),
                                          [](const auto& one) { return one.top_logprobs >= 0; });
  ops::queue_draw(ctx_, drawn_.first(asked_.size()), logits, asked_, draw_memory_.data(),
                  logprobs_.first(wants_logprobs ? asked_.size() : 0));
  if (ctx_.collective != nullptr) {
    ops::share_drawn(ctx_, logits.size(0), draw_memory_.data());
  }
  const auto row_bytes = static_cast<uint64_t>(logits.stride_bytes(0));
  for (size_t i = 0; i < rows.size(); ++i) {
    if (how[i]) continue;
    const auto row = static_cast<int64_t>(i);
    ctx_.gpu->queue_download(host_memory_.data() + i * row_bytes, logits.rows(row, 1).data(),
                             row_bytes);
  }
  end_part();
  answer_point_ = parts_.back().end;
}

void ModelRunner::follow_head(std::span<const int64_t> rows, bool draws) {
  run_head(rows);
  if (!draws) return;
  ops::share_drawn(ctx_, static_cast<int64_t>(rows.size()), draw_memory_.data());
}

StepModel::Drawn ModelRunner::drawn() {
  if (!draws()) return StepModel::drawn();
  points_->wait_for(answer_point_);
  count_parts(answer_point_);
  for (size_t i = 0; i < asked_.size(); ++i) {
    const auto row = static_cast<size_t>(asked_[i].row);
    tokens_[row] = drawn_[i];
    if (asked_[i].top_logprobs >= 0) by_row_[row] = logprobs_[i];
  }
  const auto rows = static_cast<int64_t>(num_rows_);
  return {std::span(tokens_).first(num_rows_), std::span(by_row_).first(num_rows_),
          ConstTensor(host_memory_.data(), DType::kF32, {rows, vocab_size()})};
}

ConstTensor ModelRunner::hidden(std::span<const int64_t> rows) {
  const Tensor normed = normed_.rows(0, static_cast<int64_t>(rows.size()));
  model_->hidden(ctx_, normed, gather(rows));
  return on_host(normed);
}

}  // namespace hachi::engine
