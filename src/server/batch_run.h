// BatchRun: one batch on its way, from its validation or from where the last server left it.
//
// Each line of the input ends as one line of the output or of the error file. A result line names
// its line of the input (result_id), so those two files tell what is done; nothing else does. They
// are opened before anything runs, and what a crash has torn is cut off and runs again.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "server/batch_caller.h"
#include "server/line_files.h"
#include "server/storage.h"

namespace hachi::server {

inline constexpr int64_t kMaxBatchLines = 50'000;  // as OpenAI has it

// On the thread of its hub. Its coroutines hold it.
class BatchRun : public std::enable_shared_from_this<BatchRun> {
 public:
  enum class End {
    kNone,
    kStopped,  // the server stops: the batch goes on when it starts again
    kCancelled,
    kExpired,
  };

  BatchRun(App& app, NewsHub& hub, boost::asio::any_io_executor executor, Storage& storage,
           BatchRecord record);

  const BatchRecord& record() const { return record_; }

  // Runs it to its end, or until it is stopped. An error is of the disk, or of the process, and
  // the batch can be taken up again.
  net::awaitable<Result<void>> run();
  // What runs is given up, and run() soon comes to its end. The first reason counts.
  void end(End why);
  // The same for want of the disk or of memory; what still runs writes nothing any more.
  void fail(Error error);
  // Lines in flight at once from now on.
  void set_window(int64_t lines);
  // What is done survives a loss of power.
  Result<void> sync();

 private:
  class InFlight;

  // Before it runs (batch_validation.cc).
  net::awaitable<Result<std::vector<api::BatchLineError>>> validate();
  std::optional<api::ApiError> check_line(std::string_view text,
                                          std::unordered_set<std::string>& custom_ids) const;
  net::awaitable<Result<void>> begin();

  // Its lines (batch_lines.cc).
  Result<LineReader> open_input() const;
  net::awaitable<Result<void>> run_lines();
  net::awaitable<void> run_line(int64_t number, std::string text,
                                std::unique_ptr<InFlight> in_flight);
  net::awaitable<api::ApiResult<std::string>> answer_line(const api::BatchLine& line,
                                                          std::string& request_id);
  net::awaitable<api::ApiResult<std::string>> try_line(const api::BatchLine& line,
                                                       std::string& request_id);
  net::awaitable<Result<int64_t>> refuse_rest(const api::ApiError& error);
  void put(int64_t number, bool is_answer, std::string_view result);
  net::awaitable<void> pause(std::chrono::milliseconds time);
  net::awaitable<void> yield();

  // Its files and its record (batch_run.cc).
  Result<void> open_results();
  Result<void> open_results(std::optional<ResultFile>& file, const std::string& id, int64_t& count);
  net::awaitable<Result<void>> finish();
  Result<void> write_end(bool has_expired);
  Result<void> publish(const std::string& id, const ResultFile& file, std::string_view kind);
  void wake_all();

  bool was_given_up() const { return end_ == End::kStopped || end_ == End::kCancelled; }
  bool is_over() const { return end_ != End::kNone || error_.has_value(); }

  App& app_;
  NewsHub& hub_;
  boost::asio::any_io_executor executor_;
  Storage& storage_;
  BatchRecord record_;
  End end_ = End::kNone;
  std::optional<Error> error_;
  std::optional<ResultFile> output_, errors_;
  std::vector<bool> is_done_;  // by line
  int64_t completed_ = 0, failed_ = 0;
  int64_t window_ = 1;
  int64_t num_in_flight_ = 0;
  size_t bytes_in_flight_ = 0;                   // of the lines' texts
  std::set<BatchCaller*> callers_;               // of the lines in flight
  std::set<boost::asio::steady_timer*> pauses_;  // of what waits, to be cancelled at the end
  boost::asio::steady_timer changed_;            // cancelled when a line has ended
};

}  // namespace hachi::server
