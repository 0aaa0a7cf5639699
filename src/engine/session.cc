#include "engine/session.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "engine/sampler.h"
#include "kernels/gpu.h"

namespace hachi::engine {
namespace {

int64_t pages_for(int64_t tokens) {
  return (tokens + model::KvCache::kPageTokens - 1) / model::KvCache::kPageTokens;
}

}  // namespace

Session::Session(std::unique_ptr<ModelRunner> runner, int64_t context)
    : runner_(std::move(runner)),
      context_(context),
      page_pool_(std::make_unique<PagePool>(runner_->num_pages())),
      pages_(std::make_unique<PageList>(*page_pool_, runner_->num_pages())),
      positions_(static_cast<size_t>(runner_->max_tokens())) {
  tokens_.reserve(static_cast<size_t>(context_));
}

Result<Session> Session::create(const model::Model& model, const SessionOptions& options) {
  const int64_t most = model.config().context_length;
  if (options.context > most) {
    return fail(Code::kInvalidArgument, "the context must be at most the model's {} tokens, got {}",
                most, options.context);
  }
  if (options.context < 0 || options.chunk < 0 || options.threads < 0) {
    return fail(Code::kInvalidArgument, "context, chunk and threads must not be negative");
  }
  const int64_t context = options.context > 0 ? options.context : std::min(most, kDefaultContext);
  const int64_t usual = options.gpu != nullptr ? kGpuChunk : kChunk;
  const int64_t chunk = options.chunk > 0 ? options.chunk : usual;
  TRY(auto runner, ModelRunner::create(model, {.threads = options.threads,
                                               .pinning = options.pinning,
                                               .cache_tokens = context,
                                               .max_tokens = std::min(chunk, context),
                                               .max_rows = kLogitRows,
                                               .kv_dtype = options.kv_dtype,
                                               .device = options.device,
                                               .gpu = options.gpu}));
  return Session(std::move(runner), context);
}

Result<void> Session::check_tokens(std::span<const int32_t> tokens) const {
  const auto count = static_cast<int64_t>(tokens.size());
  if (count > context_) {
    return fail(Code::kContextTooLong,
                "{} tokens do not fit into the context of {}: shorten the text or raise --context "
                "(this model can do {})",
                count, context_, runner_->context_length());
  }
  for (const int32_t token : tokens) {
    if (token < 0 || token >= vocab_size()) {
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
  runner_->forward(batch);
  last_row_ = count - 1;
  logits_ = {};
}

std::span<const float> Session::logits() {
  if (logits_.empty()) {
    const ConstTensor logits = runner_->logits({&last_row_, 1});
    logits_ = {logits.as<float>(), static_cast<size_t>(vocab_size())};
  }
  return logits_;
}

std::optional<int32_t> Session::draw(const ops::DrawRow& how) {
  if (!runner_->draws()) return std::nullopt;
  const std::optional<ops::DrawRow> one = how;
  return runner_->draw({&last_row_, 1}, {&one, 1}).tokens[0];
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
    count = std::min(chunk(), total - at);
    run(tokens.subspan(static_cast<size_t>(at), static_cast<size_t>(count)));
    if (progress) progress(at + count - kept, total - kept);
  }
  // So that who takes the time finds the prompt's work done.
  runner_->draws() ? runner_->context().gpu->wait() : static_cast<void>(logits());
  return kept;
}

Result<void> Session::run_whole(std::span<const int32_t> tokens) {
  TRY(check_tokens(tokens));
  CHECK(!tokens.empty() && static_cast<int64_t>(tokens.size()) <= chunk());
  truncate(0);
  run(tokens);
  return {};
}

ConstTensor Session::logits_after(int64_t first, int64_t count) {
  CHECK(count <= kLogitRows);
  logits_ = {};
  std::array<int64_t, kLogitRows> rows;
  std::iota(rows.begin(), rows.end(), first);
  return runner_->logits(std::span(rows).first(static_cast<size_t>(count)));
}

Result<void> Session::decode(int32_t token) {
  if (static_cast<int64_t>(tokens_.size()) >= context_) {
    return fail(Code::kContextTooLong, "the context of {} tokens is full", context_);
  }
  TRY(check_tokens({&token, 1}));
  run({&token, 1});
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
    count = std::min(chunk(), total - 1 - at);
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
    std::array<int64_t, kLogitRows> all;
    std::iota(all.begin(), all.end(), first_row + at);
    logits_ = {};
    const auto found =
        runner_->score(std::span(all).first(static_cast<size_t>(rows)),
                       targets.subspan(static_cast<size_t>(at), static_cast<size_t>(rows)), 1);
    for (const ops::TokenLogprobs& one : found) {
      const bool is_best = one.num_top > 0 && one.top[0].token == one.chosen.token;
      scores.push_back({one.chosen.logprob, is_best});
    }
  }
}

}  // namespace hachi::engine
