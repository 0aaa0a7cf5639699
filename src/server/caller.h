// Caller: who asks for answers, and where the work on them comes back to: an HTTP request (Visit)
// or a line of a batch (BatchCaller). What makes answers knows no more of them than this.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>

#include "api/error.h"
#include "server/api_keys.h"
#include "server/app.h"

namespace hachi::server {

// What becomes known of a request as it is worked on.
struct CallerNotes {
  std::string model;
  std::optional<int64_t> prompt_tokens, cached_tokens, completion_tokens;
  std::optional<double> ttft_ms;
  std::string finish;
  std::string error;  // a short code
  std::optional<bool> stream;
  std::string prompt, answer;  // only if the log wants text
};

// On the thread of its executor.
class Caller {
 public:
  using Clock = std::chrono::steady_clock;

  // `executor` is of the hub's thread.
  Caller(App& app, NewsHub& hub, boost::asio::any_io_executor executor);
  virtual ~Caller() = default;
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  App& app() const { return app_; }
  NewsHub& hub() const { return hub_; }
  const boost::asio::any_io_executor& executor() const { return executor_; }
  // For the ids of answers: nobody else has it.
  const std::string& id() const { return id_; }
  Clock::time_point start() const { return start_; }
  std::chrono::system_clock::time_point time() const { return time_; }
  int64_t created() const;  // seconds since 1970
  CallerNotes& notes() { return notes_; }
  // Null: the server asks for no keys, or the caller has none.
  const Key* key() const { return key_; }

  // Takes the request from the caller's limits. An error if they are reached.
  virtual std::optional<api::ApiError> admit() = 0;
  // What the request really used.
  virtual void settle(int64_t tokens) = 0;
  // Whether `num_requests` more may be submitted to the model's engine now.
  virtual bool has_room(const ServedModel& model, int64_t num_requests) const = 0;
  virtual bool takes_streams() const = 0;
  // For an answer; 0: none.
  virtual std::chrono::seconds timeout() const = 0;
  // Nobody waits for the answer any more.
  virtual bool is_gone() const = 0;
  // As Exchange::on_client_gone.
  virtual void on_gone(std::function<void()> callback) = 0;

  // For the engine: who shares fairly, whose prefixes are apart, who goes first. `asked` is what
  // the request asks for, in vLLM's order: lower goes first.
  uint64_t user() const;
  uint64_t salt(std::string_view cache_salt) const;
  int64_t priority(int64_t asked) const;

 protected:
  // `key` is of `ring`; null if there is none.
  void set_key(std::shared_ptr<const KeyRing> ring, const Key* key);
  // Stands for callers without a key, who share fairly by it.
  virtual std::string_view user_name() const = 0;
  // All callers with a higher one go before all with a lower one.
  virtual int64_t base_priority() const = 0;

 private:
  App& app_;
  NewsHub& hub_;
  boost::asio::any_io_executor executor_;
  Clock::time_point start_ = Clock::now();
  std::chrono::system_clock::time_point time_ = std::chrono::system_clock::now();
  std::string id_;
  std::shared_ptr<const KeyRing> ring_;
  const Key* key_ = nullptr;  // of ring_
  CallerNotes notes_;
};

}  // namespace hachi::server
