#include "engine/replicas.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace hachi::engine {
namespace {

void add(EngineStats& sum, const EngineStats& more) {
  sum.running += more.running;
  sum.waiting += more.waiting;
  sum.num_pages += more.num_pages;
  sum.free_pages += more.free_pages;
  sum.cached_pages += more.cached_pages;
  sum.idle_pages += more.idle_pages;
  sum.steps += more.steps;
  sum.prompt_tokens += more.prompt_tokens;
  sum.generated_tokens += more.generated_tokens;
  sum.guessed_tokens += more.guessed_tokens;
  sum.accepted_tokens += more.accepted_tokens;
  sum.preemptions += more.preemptions;
  sum.evictions += more.evictions;
  sum.num_host_pages += more.num_host_pages;
  sum.free_host_pages += more.free_host_pages;
  sum.cached_host_pages += more.cached_host_pages;
  sum.moved_out += more.moved_out;
  sum.moved_in += more.moved_in;
  sum.swap.waiting += more.swap.waiting;
  sum.swap.sequences += more.swap.sequences;
  sum.swap.out += more.swap.out;
  sum.swap.in += more.swap.in;
  sum.prefix.hit += more.prefix.hit;
  sum.prefix.hit_host += more.prefix.hit_host;
  sum.prefix.miss_new += more.prefix.miss_new;
  sum.prefix.miss_forgotten += more.prefix.miss_forgotten;
  sum.prefix.miss_other_salt += more.prefix.miss_other_salt;
  sum.prefix.miss_page_end += more.prefix.miss_page_end;
  sum.prefix.miss_not_shared += more.prefix.miss_not_shared;
  sum.device_busy += more.device_busy;
  sum.device_waiting += more.device_waiting;
  sum.last_step = std::max(sum.last_step, more.last_step);
}

// Tokens that a request may have with any of the models: one device may have less memory.
int64_t common_context(std::span<const std::unique_ptr<StepModel>> models, int64_t asked) {
  int64_t context = asked > 0 ? asked : INT64_MAX;
  for (const auto& model : models) {
    context =
        std::min({context, model->context_length(), model->num_pages() * model->page_tokens()});
  }
  return context;
}

}  // namespace

Replicas::Replicas(std::vector<std::unique_ptr<StepModel>> models, const EngineOptions& options,
                   const std::function<void()>& on_news)
    : most_open_(options.scheduler.max_sequences + options.max_waiting),
      shares_prefixes_(options.scheduler.share_prefixes),
      placement_(models.size(), options.scheduler.page_tokens),
      num_open_(models.size()) {
  EngineOptions common = options;
  common.context = common_context(models, options.context);
  for (auto& model : models) {
    engines_.push_back(std::make_unique<Engine>(std::move(model), common, on_news));
    CHECK_EQ(engines_.back()->vocab_size(), vocab_size());
  }
}

size_t Replicas::place(const Request& request) {
  if (engines_.size() == 1) return 0;
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < engines_.size(); ++i) {
    const int64_t open = engines_[i]->num_open();
    num_open_[i] = open < most_open_ ? open : -1;
  }
  const bool shares =
      shares_prefixes_ && !request.score_prompt && request.pooling == Pooling::kNone;
  return placement_.place(request.salt, request.prompt, shares, num_open_);
}

Result<std::shared_ptr<Stream>> Replicas::submit(Request request,
                                                 std::unique_ptr<Constraint> constraint) {
  TRY(check(request));
  Engine& engine = *engines_[place(request)];
  return engine.submit(std::move(request), std::move(constraint));
}

EngineStats Replicas::stats() const {
  EngineStats sum;
  for (const auto& engine : engines_) add(sum, engine->stats());
  return sum;
}

int64_t Replicas::num_open() const {
  int64_t sum = 0;
  for (const auto& engine : engines_) sum += engine->num_open();
  return sum;
}

bool Replicas::is_stuck(Clock::duration time) const {
  return std::any_of(engines_.begin(), engines_.end(),
                     [&](const auto& engine) { return engine->is_stuck(time); });
}

void Replicas::close() {
  for (const auto& engine : engines_) engine->close();
}

bool Replicas::stop_and_check() {
  bool all = true;
  for (const auto& engine : engines_) all = engine->stop_and_check() && all;
  return all;
}

}  // namespace hachi::engine
