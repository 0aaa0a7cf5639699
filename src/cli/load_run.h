// A load on a server: users who ask one question after the other, or requests that come when they
// come. All of it on one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "cli/load_client.h"
#include "cli/load_stats.h"
#include "cli/terminal.h"

namespace hachi::cli {

struct LoadShape {
  int64_t users = 1;      // each sends its next request when the last is answered
  double rate = 0;        // if above 0: requests per second, however many are unanswered
  double burstiness = 1;  // see Arrivals
  int64_t requests = 0;   // 0: no limit
  double seconds = 0;     // after which no more are sent; 0: no limit
  uint64_t seed = 0;
};

class LoadRun {
 public:
  // Requests have the prompts from number `first_prompt` on. `target` and `prompts` outlive it.
  LoadRun(const LoadTarget& target, const PromptSource& prompts, const LoadShape& shape,
          int64_t first_prompt);

  // Once. Ends early when a signal was noted (interrupt.h), and when the server is gone: as many
  // requests as there are users, at least 16, found no connection one after the other.
  Result<LoadRecord> run(ProgressLine& progress);

 private:
  awaitable<void> user(net::HttpClient& client);
  awaitable<void> send_at_rate();
  awaitable<void> answer_one(net::HttpClient& client, int64_t prompt);
  awaitable<LoadAnswer> answer_of(net::HttpClient& client, int64_t prompt);
  awaitable<void> watch(ProgressLine& progress);
  awaitable<bool> sleep(double seconds);

  // The next request's prompt; -1: no more.
  int64_t take_request();
  Result<net::HttpClient*> free_client();
  void note(LoadAnswer answer);
  void stop();
  void spawn(awaitable<void> task);

  const LoadTarget* target_;
  const PromptSource* prompts_;
  LoadShape shape_;
  int64_t first_prompt_;

  boost::asio::io_context context_;
  Stopwatch clock_;
  std::deque<net::HttpClient> clients_;  // they stay where they are
  std::vector<net::HttpClient*> idle_;   // of those, for requests at a rate
  LoadRecord record_;
  int64_t num_sent_ = 0;
  int64_t num_tasks_ = 0;           // coroutines but the watch
  int64_t failed_connections_ = 0;  // one after the other
  bool stopping_ = false;
};

}  // namespace hachi::cli
