#include "engine/session.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hachi::engine {
namespace {

constexpr int64_t kPageTokens = model::KvCache::kPageTokens;

int64_t pages_for(int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

TokenScore score_token(std::span<const float> logits, int32_t token) {
  const auto best = std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit - *best));
  const float logit = logits[static_cast<size_t>(token)];
  return {static_cast<float>(static_cast<double>(logit - *best) - std::log(sum)),
          std::distance(logits.begin(), best) == token};
}

}  // namespace

Session::Session(const model::Model& model, const SessionOptions& options)
    : model_(&model),
      context_(options.context > 0 ? options.context
                                   : std::min(model.config().context_length, kDefaultContext)),
      chunk_(std::min(options.chunk, context_)),
      pool_(std::make_unique<ThreadPool>(options.threads > 0 ? options.threads : usable_cpus(),
                                         options.pinning)),
      positions_(static_cast<size_t>(chunk_)) {
  ctx_.device = options.device;
  ctx_.pool = pool_.get();
}

Result<Session> Session::create(const model::Model& model, const SessionOptions& options) {
  const model::ModelConfig& config = model.config();
  if (options.context > config.context_length) {
    return fail(Code::kInvalidArgument, "the context must be at most the model's {} tokens, got {}",
                config.context_length, options.context);
  }
  if (options.context < 0 || options.chunk < 1 || options.threads < 0) {
    return fail(Code::kInvalidArgument, "context, chunk and threads must not be negative");
  }
  Session session(model, options);
  const int64_t num_pages = pages_for(session.context_);
  TRY(session.cache_, model::KvCache::allocate(config, num_pages, options.kv_dtype));
  session.page_pool_ = std::make_unique<PagePool>(num_pages);
  session.pages_ = std::make_unique<PageList>(*session.page_pool_);
  session.tokens_.reserve(static_cast<size_t>(session.context_));
  TRY(session.memory_, Buffer::allocate(model::Activations::bytes(config, session.chunk_)));
  session.activations_ = model::Activations::over(session.memory_, config, session.chunk_);
  const auto row = static_cast<uint64_t>(config.vocab_size) * sizeof(float);
  TRY(session.logits_memory_, Buffer::allocate(row * static_cast<uint64_t>(kLogitRows)));
  session.logits_ =
      Tensor(session.logits_memory_.data(), DType::kF32, {kLogitRows, config.vocab_size});
  return session;
}

Result<void> Session::check_tokens(std::span<const int32_t> tokens) const {
  const auto count = static_cast<int64_t>(tokens.size());
  if (count > context_) {
    return fail(Code::kContextTooLong,
                "{} tokens do not fit into the context of {}: shorten the text or raise --context "
                "(this model can do {})",
                count, context_, model_->config().context_length);
  }
  for (const int32_t token : tokens) {
    if (token < 0 || static_cast<size_t>(token) >= vocab_size()) {
      return fail(Code::kInvalidArgument, "token {} is not in the model's vocabulary of {}", token,
                  vocab_size());
    }
  }
  return {};
}

int64_t Session::shared_prefix(std::span<const int32_t> tokens) const {
  const auto differ = std::mismatch(tokens_.begin(), tokens_.end(), tokens.begin(), tokens.end());
  return std::distance(tokens_.begin(), differ.first);
}

void Session::truncate(int64_t num_tokens) {
  tokens_.resize(static_cast<size_t>(num_tokens));
  pages_->resize(pages_for(num_tokens));
}

void Session::run(std::span<const int32_t> tokens) {
  const auto begin = static_cast<int64_t>(tokens_.size());
  const auto count = static_cast<int64_t>(tokens.size());
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  CHECK(pages_->resize(pages_for(begin + count)));
  const std::span<int32_t> positions(positions_.data(), tokens.size());
  std::iota(positions.begin(), positions.end(), static_cast<int32_t>(begin));
  const ops::SequenceSpan sequence{0, count, pages_->pages()};
  const ops::BatchView batch{tokens, positions, {&sequence, 1}};
  model_->forward(ctx_, batch, cache_, activations_.first(count));
}

Result<int64_t> Session::prefill(std::span<const int32_t> tokens, const Progress& progress,
                                 const ShouldStop& should_stop) {
  CHECK(!tokens.empty());
  TRY(check_tokens(tokens));
  const int64_t kept = shared_prefix(tokens.first(tokens.size() - 1));
  truncate(kept);
  const auto total = static_cast<int64_t>(tokens.size());
  int64_t count = 0;
  for (int64_t at = kept; at < total; at += count) {
    if (should_stop && should_stop()) return fail(Code::kCancelled, "cancelled");
    count = std::min(chunk_, total - at);
    run(tokens.subspan(static_cast<size_t>(at), static_cast<size_t>(count)));
    if (progress) progress(at + count - kept, total - kept);
  }
  model_->logits(ctx_, logits_.rows(0, 1), activations_.x.rows(count - 1, 1),
                 activations_.normed.rows(count - 1, 1));
  return kept;
}

Result<void> Session::run_whole(std::span<const int32_t> tokens) {
  TRY(check_tokens(tokens));
  CHECK(!tokens.empty() && static_cast<int64_t>(tokens.size()) <= chunk_);
  truncate(0);
  run(tokens);
  return {};
}

ConstTensor Session::logits_after(int64_t first, int64_t count) {
  const Tensor rows = logits_.rows(0, count);
  model_->logits(ctx_, rows, activations_.x.rows(first, count),
                 activations_.normed.rows(first, count));
  return rows;
}

Result<void> Session::decode(int32_t token) {
  if (static_cast<int64_t>(tokens_.size()) >= context_) {
    return fail(Code::kContextTooLong, "the context of {} tokens is full", context_);
  }
  TRY(check_tokens({&token, 1}));
  run({&token, 1});
  model_->logits(ctx_, logits_.rows(0, 1), activations_.x.rows(0, 1),
                 activations_.normed.rows(0, 1));
  return {};
}

Result<std::vector<TokenScore>> Session::score(std::span<const int32_t> tokens, int64_t first,
                                               const Progress& progress,
                                               const ShouldStop& should_stop) {
  CHECK_GE(first, 1);
  TRY(check_tokens(tokens));
  const int64_t kept = std::min(shared_prefix(tokens), first - 1);
  truncate(kept);
  std::vector<TokenScore> scores;
  const auto total = static_cast<int64_t>(tokens.size());
  int64_t count = 0;
  // The last token is scored and never run: nothing comes after it.
  for (int64_t at = kept; at + 1 < total; at += count) {
    if (should_stop && should_stop()) return fail(Code::kCancelled, "cancelled");
    count = std::min(chunk_, total - 1 - at);
    run(tokens.subspan(static_cast<size_t>(at), static_cast<size_t>(count)));
    const int64_t skipped = std::clamp<int64_t>(first - 1 - at, 0, count);
    score_rows(
        tokens.subspan(static_cast<size_t>(at + skipped + 1), static_cast<size_t>(count - skipped)),
        skipped, scores);
    if (progress) progress(at + count - kept, total - 1 - kept);
  }
  return scores;
}

void Session::score_rows(std::span<const int32_t> targets, int64_t first_row,
                         std::vector<TokenScore>& scores) {
  const auto total = static_cast<int64_t>(targets.size());
  for (int64_t at = 0; at < total; at += kLogitRows) {
    const int64_t rows = std::min(kLogitRows, total - at);
    model_->logits(ctx_, logits_.rows(0, rows), activations_.x.rows(first_row + at, rows),
                   activations_.normed.rows(first_row + at, rows));
    const size_t begin = scores.size();
    scores.resize(begin + static_cast<size_t>(rows));
    pool_->parallel_for(rows, 1, [&](int64_t row, int64_t end) {
      for (; row < end; ++row) {
        scores[begin + static_cast<size_t>(row)] = score_token(
            {logits_.row<float>(row), vocab_size()}, targets[static_cast<size_t>(at + row)]);
      }
    });
  }
}

}  // namespace hachi::engine
