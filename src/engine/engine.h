// Engine: many requests at once on one model. A thread of its own runs in a loop: take what was
// submitted, schedule, forward, sample, hand out. Requests join and leave at every step.
//
// With a seed, the tokens of a request depend on nothing but the request: not on what else runs, on
// how prompts are cut, on what the cache holds, on being put back, or on guessing ahead.
//
// With a model that runs ahead, step N + 1 is planned and given to the device while it is at step
// N, whose tokens are handed out while it is at N + 1: a token goes from the one to the other on
// the device. Without, a step begins when the last one has ended; that loop says what the other
// does.
//
// Between requests that come and go, a step does not allocate, lock or throw.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/published.h"
#include "core/result.h"
#include "engine/batch.h"
#include "engine/constraint.h"
#include "engine/draft.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/step_model.h"
#include "engine/stream.h"

namespace hachi::engine {

struct EngineOptions {
  SchedulerOptions scheduler;
  int64_t max_waiting = 1024;   // requests beyond those that can run; more are refused
  int64_t stream_events = 256;  // that a reader may leave before its request pauses
  // Guessed ahead for each sequence, by the model's draft or else from its own text; 0: none.
  int64_t guess_tokens = 0;
  int64_t context = 0;    // tokens that a request may have; 0: what the model and pages allow
  bool run_ahead = true;  // if the model does, and nothing is guessed
};

// A moment's state, and counts since the start.
struct EngineStats {
  int64_t running = 0, waiting = 0;
  int64_t num_pages = 0, free_pages = 0;
  int64_t cached_pages = 0;  // that the prefix tree remembers
  int64_t idle_pages = 0;    // of those, that no request uses
  int64_t steps = 0;
  int64_t prompt_tokens = 0;  // that were run
  int64_t generated_tokens = 0;
  int64_t guessed_tokens = 0, accepted_tokens = 0;
  int64_t preemptions = 0, evictions = 0;
  // Of the processor's memory:
  int64_t num_host_pages = 0, free_host_pages = 0;
  int64_t cached_host_pages = 0;        // that the prefix tree remembers
  int64_t moved_out = 0, moved_in = 0;  // pages of the tree, so far
  SwapCounts swap;
  PrefixCounts prefix;
  // Seconds in which a device worked, and waited though there was work (StepModel::DeviceTime).
  double device_busy = 0, device_waiting = 0;
  // When the last one ended, or it was seen that all requests wait for their readers.
  Clock::time_point last_step{};
};

class Engine {
 public:
  // `on_news` is called on the engine's thread after each step that put something into a stream; it
  // must be quick.
  Engine(std::unique_ptr<StepModel> model, const EngineOptions& options,
         std::function<void()> on_news = {});
  ~Engine();  // closes it
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Any thread. The answer is drawn under `constraint`; null: none. Fails with kInvalidArgument,
  // naming the field; with kContextTooLong and the counts if the prompt and the answer cannot fit;
  // with kLimit if too many wait.
  Result<std::shared_ptr<Stream>> submit(Request request,
                                         std::unique_ptr<Constraint> constraint = nullptr);

  // Any thread. What submit would say of the request, but for how many wait.
  Result<void> check(const Request& request) const;

  // Any thread.
  EngineStats stats() const { return stats_.load(); }
  // Requests that were submitted and have not ended.
  int64_t num_open() const { return num_open_.load(std::memory_order_relaxed); }
  int64_t vocab_size() const { return model_->vocab_size(); }
  // Tokens that a request may have, prompt and answer together.
  int64_t context_length() const { return limits_.context; }

  // Work waits, and no step has finished for so long.
  bool is_stuck(Clock::duration time) const;

  // Ends all requests as cancelled; more are refused. `on_news` is not called any more after it.
  void close();

  // Stops the loop and tells whether every page is free or accounted for; for tests.
  bool stop_and_check();

  // A draft guesses while so few rows have to be looked at that reading the weights, not the rows,
  // is what a step takes.
  static constexpr int64_t kMostGuessedRows = 64;

 private:
  struct Submission;
  // A slice that reached the end of what its sequence knows, and the logits of its tokens.
  struct Ending {
    size_t slice;
    int64_t first_row;  // of the logits
    int64_t num_rows;
    std::optional<NextToken> next;  // after the first row, if it was asked for already
  };
  // A step that the model was given.
  struct Flight {
    Flight(const SchedulerOptions& options, int64_t max_rows);

    Batch batch;
    std::vector<Slice> slices;  // without a sequence: it has ended since
    std::vector<int64_t> rows;  // whose logits are wanted next
    std::vector<Ending> endings;
    Clock::time_point begun{};
    int64_t tokens_to_time = 0;  // as the scheduler has it
  };

  // The loop (engine.cc).
  void run();
  void wake();
  void wait_for_work();
  void take_inbox();
  void end_unwanted();
  void end(Sequence& sequence, Finish why);
  void end_all();

  // One turn of it (step.cc). Whether there was anything to do.
  bool step();
  bool step_ahead();
  void begin(Flight& flight);
  void settle(Flight& flight);
  bool rest();
  bool all_wait_for_readers() const;
  void publish();

  // What is asked of each token of a prompt (read_prompts.cc).
  void read_prompts(const Flight& flight);
  void score_prompt(const Slice& slice, int64_t first_row);
  void pool_prompt(const Slice& slice, int64_t first_row);

  // The next tokens (extend.cc).
  size_t take_endings(Flight& flight, size_t first_slice);
  void queue_draw(Flight& flight);
  void extend(Flight& flight);
  void ask(Flight& flight, Ending& ending);
  void extend_one(const Flight& flight, const Ending& ending, const StepModel::Drawn& drawn,
                  SamplerScratch& scratch);
  static std::optional<Finish> append(Sequence& sequence, const TokenEvent& event);
  int64_t most_guessed(const Sequence& sequence) const;
  void guess(Sequence& sequence);
  void ask_draft();

  std::unique_ptr<StepModel> model_;
  EngineOptions options_;
  std::function<void()> on_news_;
  SequenceLimits limits_;
  PagePool pages_;
  HostPages host_pages_;
  std::optional<Draft> draft_;  // outlives the sequences, which have its pages
  Scheduler scheduler_;
  bool runs_ahead_;
  std::array<Flight, 2> flights_;  // the last one given, and another before it or none
  std::vector<int64_t> rows_;      // of a prompt, whose logits are wanted next
  // Of the rows of a group, how the model is to draw; those that it is not to draw have nothing.
  std::vector<std::optional<ops::DrawRow>> asked_;
  std::vector<Draft::Asked> drafted_;
  std::vector<Sequence*> ended_;
  std::vector<SamplerScratch> scratch_;  // one a thread
  EngineStats counts_;
  Published<EngineStats> stats_;

  std::atomic<Submission*> inbox_{nullptr};  // the latest first
  std::atomic<int64_t> num_open_{0};
  std::atomic<int64_t> num_submitted_{0};
  std::atomic<Clock::rep> busy_since_{0};  // since the clock's epoch
  std::atomic<bool> stopping_{false};
  std::atomic<bool> asleep_{false};
  std::mutex mutex_;  // of woken_
  std::condition_variable woken_;
  std::thread thread_;
};

}  // namespace hachi::engine
