// Engine: many requests at once on one model. A thread of its own runs in a loop: take what was
// submitted, schedule, forward, sample, hand out. Requests join and leave at every step.
//
// With a seed, the tokens of a request depend on nothing but the request: not on what else runs, on
// how prompts are cut, on what the cache holds, on being put back, or on guessing ahead.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/result.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/step_model.h"
#include "engine/stream.h"

namespace hachi::engine {

struct EngineOptions {
  SchedulerOptions scheduler;
  int64_t max_waiting = 1024;    // requests that do not run yet; more are refused
  int64_t stream_events = 256;   // that a reader may leave before its request pauses
  int64_t guess_tokens = 0;      // guessed ahead for each sequence from its own text; 0: none
};

// A moment's state, and counts since the start.
struct EngineStats {
  int64_t running = 0, waiting = 0;
  int64_t free_pages = 0, cached_pages = 0, num_pages = 0;
  int64_t steps = 0;
  int64_t prompt_tokens = 0;     // run
  int64_t cached_tokens = 0;     // of prompts, that were in the cache
  int64_t generated_tokens = 0;
  int64_t guessed_tokens = 0, accepted_tokens = 0;
  int64_t preemptions = 0, evictions = 0;
  Clock::time_point last_step;   // when it ended
};

class Engine {
 public:
  // `on_news` is called on the engine's thread after each step that put something into a stream; it
  // must be quick.
  Engine(std::unique_ptr<StepModel> model, const EngineOptions& options,
         std::function<void()> on_news = {});
  // Ends all requests as cancelled.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Any thread. Fails with kInvalidArgument, naming the field; with kContextTooLong and the counts
  // if the prompt, or with max_tokens the answer, does not fit; with kLimit if too many wait.
  Result<std::shared_ptr<Stream>> submit(Request request);

  // Any thread.
  EngineStats stats() const;
  int64_t vocab_size() const { return model_->vocab_size(); }
  // Tokens that a request may have, prompt and answer together.
  int64_t context_length() const;

 private:
  struct Submission;

  Result<void> check(const Request& request) const;
  void run();
  // Returns whether anything was done.
  bool step();
  void take_inbox();
  void end_requests();
  void forward(std::span<const Slice> slices);
  void score_prompts(std::span<const Slice> slices);
  void sample(std::span<const Slice> slices);
  void accept(const Slice& slice);
  void wait_for_work();

  std::unique_ptr<StepModel> model_;
  EngineOptions options_;
  std::function<void()> on_news_;
  PagePool pages_;
  Scheduler scheduler_;
  std::atomic<Submission*> inbox_{nullptr};
  std::atomic<int64_t> num_waiting_{0};
  std::atomic<int64_t> arrivals_{0};
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;  // of stats_ and idle_
  std::condition_variable woken_;
  EngineStats stats_;
  std::thread thread_;
};

}  // namespace hachi::engine
