#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace hachi::engine {
namespace {

// How long an engine whose requests all wait for their readers sleeps before it looks again.
constexpr auto kNap = std::chrono::milliseconds(2);

SequenceLimits limits_of(const StepModel& model, const EngineOptions& options) {
  const int64_t fits = std::min(model.context_length(), model.num_pages() * model.page_tokens());
  return {.context = options.context > 0 ? std::min(options.context, fits) : fits,
          .page_tokens = model.page_tokens(),
          .hidden_size = model.hidden_size(),
          .stream_events = options.stream_events,
          .guess_tokens = options.guess_tokens};
}

std::optional<Draft> draft_of(StepModel& model, const EngineOptions& options) {
  StepModel* draft = model.draft();
  if (draft == nullptr || options.guess_tokens == 0) return std::nullopt;
  CHECK_EQ(draft->vocab_size(), model.vocab_size());
  return std::make_optional<Draft>(*draft, std::min(Engine::kMostGuessedRows, draft->max_rows()));
}

}  // namespace

Engine::Flight::Flight(const SchedulerOptions& options, int64_t max_rows)
    : batch(options.step_tokens, options.max_sequences) {
  slices.reserve(static_cast<size_t>(options.max_sequences));
  endings.reserve(slices.capacity());
  rows.reserve(static_cast<size_t>(max_rows));
}

struct Engine::Submission {
  std::unique_ptr<Sequence> sequence;
  Submission* next = nullptr;
};

Engine::Engine(std::unique_ptr<StepModel> model, const EngineOptions& options,
               std::function<void()> on_news)
    : model_(std::move(model)),
      options_(options),
      on_news_(std::move(on_news)),
      limits_(limits_of(*model_, options)),
      pages_(model_->num_pages()),
      host_pages_(model_->num_host_pages(), model_->num_pages(), model_->page_copy_seconds()),
      draft_(draft_of(*model_, options)),
      scheduler_(pages_, host_pages_, options.scheduler),
      runs_ahead_(options.run_ahead && model_->runs_ahead() && options.guess_tokens == 0 &&
                  options.scheduler.max_sequences <= model_->max_rows()),
      flights_{Flight(options.scheduler, model_->max_rows()),
               Flight(options.scheduler, model_->max_rows())},
      asked_(static_cast<size_t>(model_->max_rows())) {
  CHECK(options.scheduler.step_tokens <= model_->max_tokens());
  CHECK(options.scheduler.page_tokens == model_->page_tokens());
  CHECK(options.guess_tokens < model_->max_rows());
  rows_.reserve(asked_.size());
  ended_.reserve(static_cast<size_t>(options.scheduler.max_sequences));
  drafted_.reserve(static_cast<size_t>(kMostGuessedRows));
  for (int i = 0; i < model_->pool().num_threads(); ++i) scratch_.emplace_back(vocab_size());
  publish();
  thread_ = std::thread([this] { run(); });
}

Engine::~Engine() {
  close();
  end_all();  // what came while it closed
}

void Engine::close() {
  if (!thread_.joinable()) return;
  stop_and_check();
  end_all();
  publish();
  if (on_news_) on_news_();
}

void Engine::end_all() {
  take_inbox();
  for (const auto list : {&Scheduler::running, &Scheduler::waiting}) {
    while (!(scheduler_.*list)().empty()) end(*(scheduler_.*list)().back(), Finish::kCancelled);
  }
}

bool Engine::is_stuck(Clock::duration time) const {
  if (num_open() == 0) return false;
  const Clock::time_point busy_since{Clock::duration(busy_since_.load())};
  return Clock::now() - std::max(stats_.load().last_step, busy_since) > time;
}

bool Engine::stop_and_check() {
  stopping_ = true;
  wake();
  if (thread_.joinable()) thread_.join();
  take_inbox();
  return scheduler_.is_consistent();
}

Result<void> Engine::check(const Request& request) const {
  TRY(validate(request.sampling, vocab_size()));
  if (request.prompt.empty()) {
    return fail(Code::kInvalidArgument, "the prompt is empty: give it at least one token");
  }
  for (const auto* tokens : {&request.prompt, &request.stop_ids}) {
    for (const int32_t token : *tokens) {
      if (token >= 0 && token < vocab_size()) continue;
      return fail(Code::kInvalidArgument, "token {} is not in the model's vocabulary of {}", token,
                  vocab_size());
    }
  }
  CHECK(request.top_logprobs >= -1 && request.top_logprobs <= kMaxTopLogprobs);
  CHECK(request.pooling == Pooling::kNone || request.max_tokens == 0);
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t context = context_length();
  // An answer without a limit has what the prompt leaves, at least one token.
  const int64_t answer = request.max_tokens < 0 ? 1 : request.max_tokens;
  if (prompt > context || answer > context - prompt) {
    return fail(
        Code::kContextTooLong,
        "the prompt has {} tokens and the answer may have {}{}: together they must fit into "
        "the context of {}",
        prompt, request.max_tokens < 0 ? "at least " : "", answer, context);
  }
  return {};
}

Result<std::shared_ptr<Stream>> Engine::submit(Request request,
                                               std::unique_ptr<Constraint> constraint) {
  TRY(check(request));
  if (stopping_) return fail(Code::kCancelled, "the engine is closing");
  const int64_t num_open = num_open_.fetch_add(1);
  if (num_open == 0) busy_since_ = Clock::now().time_since_epoch().count();
  if (num_open >= options_.scheduler.max_sequences + options_.max_waiting) {
    --num_open_;
    return fail(Code::kLimit, "{} requests are waiting already: try again later",
                options_.max_waiting);
  }
  const int64_t number = num_submitted_.fetch_add(1, std::memory_order_relaxed);
  auto* submission = new Submission{std::make_unique<Sequence>(
      std::move(request), std::move(constraint), limits_, pages_, host_pages_.pool(), number)};
  Sequence& sequence = *submission->sequence;
  if (draft_) sequence.draft_pages.emplace(draft_->make_pages(sequence.max_tokens));
  std::shared_ptr<Stream> stream = sequence.stream;
  submission->next = inbox_.load(std::memory_order_relaxed);
  while (!inbox_.compare_exchange_weak(submission->next, submission)) {
  }
  wake();
  return stream;
}

void Engine::run() {
  while (!stopping_) {
    take_inbox();
    end_unwanted();
    if (!(runs_ahead_ ? step_ahead() : step())) wait_for_work();
  }
}

// In the order in which they came: the scheduler's fairness starts from it.
void Engine::take_inbox() {
  Submission* reversed = nullptr;
  for (Submission* one = inbox_.exchange(nullptr, std::memory_order_acquire); one != nullptr;) {
    Submission* next = one->next;
    one->next = reversed;
    reversed = one;
    one = next;
  }
  while (reversed != nullptr) {
    const std::unique_ptr<Submission> one(reversed);
    reversed = one->next;
    scheduler_.add(std::move(one->sequence));
  }
}

void Engine::end_unwanted() {
  const auto now = Clock::now();
  bool ended = false;
  for (const auto list : {&Scheduler::running, &Scheduler::waiting}) {
    for (size_t i = (scheduler_.*list)().size(); i-- > 0;) {
      Sequence& sequence = *(scheduler_.*list)()[i];
      const bool is_late = sequence.request.deadline && now >= *sequence.request.deadline;
      if (!is_late && !sequence.stream->is_cancelled()) continue;
      end(sequence, is_late ? Finish::kDeadline : Finish::kCancelled);
      ended = true;
    }
  }
  if (ended) publish();
  if (ended && on_news_) on_news_();
}

void Engine::end(Sequence& sequence, Finish why) {
  for (Flight& flight : flights_) {
    for (Slice& slice : flight.slices) {
      if (slice.sequence == &sequence) slice.sequence = nullptr;
    }
  }
  const std::unique_ptr<Sequence> ended = scheduler_.remove(sequence);
  std::vector<float> embedding(ended->pooled.begin(), ended->pooled.end());
  --num_open_;
  ended->stream->finish(why, ended->usage, std::move(embedding));
}

void Engine::wake() {
  if (!asleep_) return;
  { const std::lock_guard lock(mutex_); }
  woken_.notify_one();
}

// Nobody can be missed: asleep_ is raised before the inbox is looked at, and who submits looks at
// it after the inbox is filled.
void Engine::wait_for_work() {
  asleep_ = true;
  {
    std::unique_lock lock(mutex_);
    const auto has_work = [this] { return stopping_ || inbox_.load() != nullptr; };
    if (scheduler_.running().empty() && scheduler_.waiting().empty()) {
      woken_.wait(lock, has_work);
    } else {
      woken_.wait_for(lock, kNap, has_work);
    }
  }
  asleep_ = false;
}

}  // namespace hachi::engine
