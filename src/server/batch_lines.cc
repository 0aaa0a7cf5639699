// The lines of a batch: what runs them, what becomes of each.
#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "server/answers.h"
#include "server/batch_run.h"
#include "server/routes.h"

namespace hachi::server {
namespace {

using std::chrono::milliseconds;

// Lines that are looked at before others may run.
constexpr int64_t kLinesAtOnce = 64;
// Texts of lines in memory at once, but for one that is longer.
constexpr size_t kMaxBytesInFlight = 64 << 20;
// A line that finds no room waits and asks again, ever more seldom.
constexpr milliseconds kFirstPause{50};
constexpr milliseconds kLongestPause{2000};
// How often it asks when it is refused for another reason that may pass.
constexpr int kMaxRefusals = 50;

using Complete = net::awaitable<api::ApiResult<std::string>> (*)(Caller&, std::string_view);

constexpr std::pair<std::string_view, Complete> kEndpoints[] = {
    {"/v1/chat/completions", complete_chat},
    {"/v1/completions", complete_completions},
    {"/v1/responses", complete_response},
    {"/v1/embeddings", complete_embeddings},
};
static_assert(std::size(kEndpoints) == std::size(api::kBatchEndpoints));

bool may_pass(const api::ApiError& error) { return error.status == 429 || error.status == 503; }

}  // namespace

// Counts a line while it runs.
class BatchRun::InFlight {
 public:
  InFlight(BatchRun& run, size_t bytes) : run_(run), bytes_(bytes) {
    ++run_.num_in_flight_;
    run_.bytes_in_flight_ += bytes_;
  }
  ~InFlight() {
    --run_.num_in_flight_;
    run_.bytes_in_flight_ -= bytes_;
    run_.changed_.cancel();
  }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

 private:
  BatchRun& run_;
  size_t bytes_;
};

Result<LineReader> BatchRun::open_input() const {
  return LineReader::open(storage_.files().path_of(record_.batch.request.input_file_id),
                          app_.options().max_body_bytes);
}

net::awaitable<Result<void>> BatchRun::run_lines() {
  auto reader = open_input();
  if (!reader) co_return tl::unexpected(std::move(reader).error());
  const auto self = shared_from_this();
  while (!is_over()) {
    auto more = reader->next();
    if (!more) {
      fail(std::move(more).error());
      break;
    }
    const int64_t number = reader->number();
    if (!*more || number > kMaxBatchLines) break;
    if (number % kLinesAtOnce == 0) co_await yield();
    if (is_blank(reader->line()) || is_done_[static_cast<size_t>(number)]) continue;
    while (!is_over() && num_in_flight_ > 0 &&
           (num_in_flight_ >= window_ || bytes_in_flight_ >= kMaxBytesInFlight)) {
      co_await changed_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    if (is_over()) break;
    std::string text(reader->line());
    auto in_flight = std::make_unique<InFlight>(*this, text.size());
    // A line that throws, for want of memory, stays undone, which finish() sees.
    boost::asio::co_spawn(executor_, run_line(number, std::move(text), std::move(in_flight)),
                          [self](const std::exception_ptr&) {});
  }
  while (num_in_flight_ > 0) {
    co_await changed_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }
  co_return Result<void>();
}

net::awaitable<void> BatchRun::run_line(int64_t number, std::string text,
                                        std::unique_ptr<InFlight>) {
  const auto line = api::parse_batch_line(text);
  if (!line) co_return;  // validated, so it is not the file that it was
  std::string request_id;
  auto answer = co_await answer_line(*line, request_id);
  if (!answer && is_over()) co_return;  // given up
  int status = 200;
  if (!answer) {
    status = answer.error().status;
    std::string body;
    api::append_openai_error(body, answer.error());
    answer = std::move(body);
  }
  std::string result;
  api::append_batch_result(result, result_id(record_.batch.id, number), line->custom_id, request_id,
                           status, *answer);
  put(number, status == 200, result);
}

net::awaitable<api::ApiResult<std::string>> BatchRun::answer_line(const api::BatchLine& line,
                                                                  std::string& request_id) {
  milliseconds wait = kFirstPause;
  int refusals = 0;
  while (true) {
    auto answer = co_await try_line(line, request_id);
    if (answer || is_over() || !may_pass(answer.error())) co_return answer;
    if (answer.error().code != kEngineBusy && ++refusals == kMaxRefusals) co_return answer;
    co_await pause(wait);
    wait = std::min(2 * wait, kLongestPause);
  }
}

net::awaitable<api::ApiResult<std::string>> BatchRun::try_line(const api::BatchLine& line,
                                                               std::string& request_id) {
  BatchCaller caller(app_, hub_, executor_, record_.owner);
  request_id = "req_" + caller.id();
  if (is_over()) caller.leave();
  callers_.insert(&caller);
  struct Leaving {
    ~Leaving() { callers.erase(caller); }
    std::set<BatchCaller*>& callers;
    BatchCaller* caller;
  } const leaving{callers_, &caller};
  const auto* endpoint = std::find_if(std::begin(kEndpoints), std::end(kEndpoints),
                                      [&](const auto& one) { return one.first == line.url; });
  co_return co_await endpoint->second(caller, line.body);
}

// Ends each line that is not done with `error`, and says how many those are.
net::awaitable<Result<int64_t>> BatchRun::refuse_rest(const api::ApiError& error) {
  auto reader = open_input();
  if (!reader) co_return tl::unexpected(std::move(reader).error());
  int64_t refused = 0;
  while (!error_) {
    auto more = reader->next();
    if (!more) co_return tl::unexpected(std::move(more).error());
    const int64_t number = reader->number();
    if (!*more || number > kMaxBatchLines) break;
    if (number % kLinesAtOnce == 0) co_await yield();
    if (is_blank(reader->line()) || is_done_[static_cast<size_t>(number)]) continue;
    const auto line = api::parse_batch_line(reader->line());
    if (!line) continue;
    std::string result;
    api::append_batch_failure(result, result_id(record_.batch.id, number), line->custom_id, error);
    put(number, false, result);
    ++refused;
  }
  co_return refused;
}

void BatchRun::put(int64_t number, bool is_answer, std::string_view result) {
  if (error_) return;
  auto taken = storage_.files().take_room(result.size());
  if (!taken) return fail(std::move(taken).error());
  auto appended = (is_answer ? output_ : errors_)->append(result);
  if (!appended) {
    storage_.files().give_back(result.size());
    return fail(std::move(appended).error());
  }
  is_done_[static_cast<size_t>(number)] = true;
  ++(is_answer ? completed_ : failed_);
  storage_.batches().count(record_.batch.id, completed_, failed_);
}

net::awaitable<void> BatchRun::pause(milliseconds time) {
  boost::asio::steady_timer timer(executor_, time);
  pauses_.insert(&timer);
  co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  pauses_.erase(&timer);
}

net::awaitable<void> BatchRun::yield() {
  co_await boost::asio::post(executor_, boost::asio::use_awaitable);
}

}  // namespace hachi::server
