#include "engine/engine.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/check.h"

namespace hachi::engine {

struct Engine::Submission {
  std::unique_ptr<Sequence> sequence;
  Submission* next = nullptr;
};

Engine::Engine(std::unique_ptr<StepModel> model, const EngineOptions& options,
               std::function<void()> on_news)
    : model_(std::move(model)),
      options_(options),
      on_news_(std::move(on_news)),
      pages_(model_->num_pages()),
      scheduler_(pages_, options.scheduler),
      batch_(*model_, options.scheduler.max_sequences),
      thread_([this] { run(); }) {}

Engine::~Engine() {
  stopping_ = true;
  wake();
  thread_.join();
}

int64_t Engine::context_length() const {
  return std::min(model_->context_length(), model_->num_pages() * model_->page_tokens());
}

Result<void> Engine::check(const Request& request) const {
  TRY(validate(request.sampling, vocab_size()));
  if (request.prompt.empty()) {
    return fail(Code::kInvalidArgument, "the prompt is empty: give it at least one token");
  }
  for (const int32_t token : request.prompt) {
    if (token < 0 || token >= vocab_size()) {
      return fail(Code::kInvalidArgument, "token {} is not in the model's vocabulary of {}", token,
                  vocab_size());
    }
  }
  if (request.top_logprobs > kMaxTopLogprobs) {
    return fail(Code::kInvalidArgument, "top_logprobs must be at most {}, got {}", kMaxTopLogprobs,
                request.top_logprobs);
  }
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t answer = std::max<int64_t>(request.max_tokens, 0);
  if (answer > context_length() || prompt > context_length() - answer) {
    return fail(Code::kContextTooLong,
                "the prompt has {} tokens and the answer may have {}, together more than the "
                "context of {}",
                prompt, answer, context_length());
  }
  return {};
}

Result<std::shared_ptr<Stream>> Engine::submit(Request request) {
  TRY(check(request));
  if (num_waiting_.fetch_add(1) >= options_.max_waiting) {
    --num_waiting_;
    return fail(Code::kLimit, "{} requests are waiting already, try again later",
                options_.max_waiting);
  }
  auto stream = std::make_shared<Stream>(options_.stream_events);
  auto* submission = new Submission{make_sequence(std::move(request), stream)};
  submission->next = inbox_.load(std::memory_order_relaxed);
  while (!inbox_.compare_exchange_weak(submission->next, submission, std::memory_order_release,
                                       std::memory_order_relaxed)) {
  }
  wake();
  return stream;
}

}  // namespace hachi::engine
