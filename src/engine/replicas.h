// Replicas: engines with copies of one model, each on a device of its own, behind what looks like
// one engine.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/engine.h"
#include "engine/placement.h"

namespace hachi::engine {

class Replicas {
 public:
  // One engine a model, at least one; the models are alike. `on_news` is called on the engines'
  // threads.
  Replicas(std::vector<std::unique_ptr<StepModel>> models, const EngineOptions& options,
           const std::function<void()>& on_news = {});

  // As Engine's, of the engine that `placement.h` chooses. Any thread.
  Result<std::shared_ptr<Stream>> submit(Request request,
                                         std::unique_ptr<Constraint> constraint = nullptr);
  Result<void> check(const Request& request) const { return engines_.front()->check(request); }

  // Of all together. Any thread.
  EngineStats stats() const;
  int64_t num_open() const;
  bool is_stuck(Clock::duration time) const;  // one of them is

  size_t size() const { return engines_.size(); }
  EngineStats stats_of(size_t i) const { return engines_[i]->stats(); }
  int64_t vocab_size() const { return engines_.front()->vocab_size(); }
  int64_t context_length() const { return engines_.front()->context_length(); }

  // As Engine's.
  void close();
  bool stop_and_check();

 private:
  size_t place(const Request& request);

  const int64_t most_open_;  // requests of an engine
  const bool shares_prefixes_;
  std::vector<std::unique_ptr<Engine>> engines_;
  std::mutex mutex_;  // of the two below
  Placement placement_;
  std::vector<int64_t> num_open_;
};

}  // namespace hachi::engine
