#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "engine/logprobs.h"
#include "engine/speculation.h"

namespace hachi::engine {
namespace {

// How long an engine without work waits before it looks whether a full stream has been read.
constexpr auto kIdle = std::chrono::milliseconds(5);

}  // namespace

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
      batch_(options.scheduler.step_tokens, options.scheduler.max_sequences) {
  CHECK(options.scheduler.step_tokens <= model_->max_tokens());
  CHECK(options.scheduler.page_tokens == model_->page_tokens());
  for (int i = 0; i < model_->pool().num_threads(); ++i) scratch_.emplace_back(vocab_size());
  thread_ = std::thread([this] { run(); });
}

Engine::~Engine() {
  stopping_ = true;
  wake();
  thread_.join();
  take_inbox();
  while (!all_.empty()) end(*all_.back(), Finish::kCancelled);
}
