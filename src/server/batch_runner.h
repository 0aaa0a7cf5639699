// BatchRunner: runs the batches of a storage, a few at a time, on a thread of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "server/batch_run.h"
#include "server/news_hub.h"
#include "server/storage.h"

namespace hachi::server {

class BatchRunner {
 public:
  // Both outlive it. Fails if the system has no more descriptors.
  static Result<std::unique_ptr<BatchRunner>> create(App& app, Storage& storage);
  ~BatchRunner();  // join()
  BatchRunner(const BatchRunner&) = delete;
  BatchRunner& operator=(const BatchRunner&) = delete;

  // Takes up what has not ended.
  void start();

  // Any thread: a batch came, or is to be cancelled.
  void wake();
  // Any thread: an engine has put something into a stream.
  void notify();
  // Any thread: gives up what runs, and takes up nothing more.
  void stop();
  // Stops, and waits until nothing runs.
  void join();

 private:
  using Clock = std::chrono::steady_clock;

  BatchRunner(App& app, Storage& storage);

  net::awaitable<void> supervise();
  // What has to end, ends; what may run, runs. False: no batch is open.
  bool look();
  void begin(BatchRecord record);
  void ended(const std::string& id, bool is_well);
  // Of those that may begin, of the owner with the fewest that run; null: none.
  const BatchRecord* next(const std::vector<BatchRecord>& open) const;
  bool has_expired(const BatchRecord& record) const;

  App& app_;
  Storage& storage_;
  boost::asio::io_context context_{1};
  // The rest but the atomics on its thread alone.
  std::unique_ptr<NewsHub> hub_;
  boost::asio::steady_timer wake_{context_};
  std::map<std::string, std::shared_ptr<BatchRun>> runs_;
  std::map<std::string, Clock::time_point> rests_;  // until when, of those whose disk failed
  bool is_stopping_ = false;
  std::atomic<int> num_runs_{0};
  std::thread thread_;
};

}  // namespace hachi::server
