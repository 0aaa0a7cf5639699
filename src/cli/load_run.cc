#include "cli/load_run.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "cli/interrupt.h"
#include "cli/load_arrivals.h"

namespace hachi::cli {
namespace {

constexpr double kWatchSeconds = 0.05;
constexpr double kPauseAfterFailure = 0.1;  // of a user: a server that refuses is not hammered
constexpr int64_t kMinFailedConnections = 16;

double process_cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

LoadRun::LoadRun(const LoadTarget& target, const PromptSource& prompts, const LoadShape& shape,
                 int64_t first_prompt)
    : target_(&target), prompts_(&prompts), shape_(shape), first_prompt_(first_prompt) {}

Result<LoadRecord> LoadRun::run(ProgressLine& progress) {
  if (shape_.rate == 0) {
    int64_t users = shape_.users;
    if (shape_.requests > 0) users = std::min(users, shape_.requests);
    for (int64_t i = 0; i < users; ++i) {
      TRY(net::HttpClient client, target_->connect(context_.get_executor()));
      clients_.push_back(std::move(client));
    }
  }
  const double cpu_before = process_cpu_seconds();
  clock_.restart();
  if (shape_.rate > 0) {
    spawn(send_at_rate());
  } else {
    for (net::HttpClient& client : clients_) spawn(user(client));
  }
  boost::asio::co_spawn(context_, watch(progress), [](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
  context_.run();
  progress.erase();
  record_.cpu_seconds = process_cpu_seconds() - cpu_before;
  for (const net::HttpClient& client : clients_) record_.connects += client.num_connects();
  return std::move(record_);
}

void LoadRun::spawn(awaitable<void> task) {
  ++num_tasks_;
  boost::asio::co_spawn(context_, std::move(task), [this](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
    if (--num_tasks_ == 0) {
      record_.seconds = clock_.seconds();
      stop();
    }
  });
}

// No more requests; those that run are called off.
void LoadRun::stop() {
  stopping_ = true;
  for (net::HttpClient& client : clients_) client.close();
}

awaitable<void> LoadRun::watch(ProgressLine& progress) {
  while (num_tasks_ > 0) {
    if (InterruptGuard::requested() && !stopping_) {
      record_.interrupted = true;
      stop();
    }
    const auto done = static_cast<int64_t>(record_.answers.size());
    const bool by_count = shape_.requests > 0;
    progress.update(by_count ? done : static_cast<int64_t>(clock_.seconds()),
                    by_count ? shape_.requests : static_cast<int64_t>(shape_.seconds));
    boost::asio::steady_timer timer(context_);
    timer.expires_after(std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(kWatchSeconds)));
    boost::system::error_code error;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
  }
}

// In short parts, so that nobody need know the timer to end it.
awaitable<bool> LoadRun::sleep(double seconds) {
  const double end = clock_.seconds() + seconds;
  boost::asio::steady_timer timer(context_);
  for (double left = seconds; left > 0 && !stopping_; left = end - clock_.seconds()) {
    timer.expires_after(std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(std::min(left, kWatchSeconds))));
    boost::system::error_code error;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
  }
  co_return !stopping_;
}

int64_t LoadRun::take_request() {
  const bool late = shape_.seconds > 0 && clock_.seconds() >= shape_.seconds;
  const bool enough = shape_.requests > 0 && num_sent_ >= shape_.requests;
  if (stopping_ || late || enough || !record_.stopped.empty()) return -1;
  return first_prompt_ + num_sent_++;
}

awaitable<LoadAnswer> LoadRun::answer_of(net::HttpClient& client, int64_t prompt) {
  const LoadSleep sleeper = [this](double seconds) { return sleep(seconds); };
  LoadPrompt text = prompts_->prompt(prompt);
  LoadAnswer answer;
  co_await ask(client, *target_, std::move(text), clock_, sleeper, answer);
  co_return answer;
}

awaitable<void> LoadRun::user(net::HttpClient& client) {
  for (int64_t prompt = take_request(); prompt >= 0; prompt = take_request()) {
    LoadAnswer answer = co_await answer_of(client, prompt);
    const bool failed = answer.end == LoadAnswer::End::kFailed;
    note(std::move(answer));
    if (failed) co_await sleep(kPauseAfterFailure);
  }
}

awaitable<void> LoadRun::send_at_rate() {
  Arrivals arrivals(shape_.rate, shape_.burstiness, shape_.seed);
  double due = 0;
  for (int64_t prompt = take_request(); prompt >= 0; prompt = take_request()) {
    const auto client = free_client();
    if (!client) {
      record_.stopped = client.error().message;
      break;
    }
    spawn(answer_one(**client, prompt));
    due += arrivals.next();
    co_await sleep(due - clock_.seconds());
  }
}

awaitable<void> LoadRun::answer_one(net::HttpClient& client, int64_t prompt) {
  LoadAnswer answer = co_await answer_of(client, prompt);
  note(std::move(answer));
  idle_.push_back(&client);
}

Result<net::HttpClient*> LoadRun::free_client() {
  if (idle_.empty()) {
    TRY(net::HttpClient client, target_->connect(context_.get_executor()));
    clients_.push_back(std::move(client));
    return &clients_.back();
  }
  net::HttpClient* client = idle_.back();
  idle_.pop_back();
  return client;
}

void LoadRun::note(LoadAnswer answer) {
  const bool failed = answer.end == LoadAnswer::End::kFailed;
  failed_connections_ = failed && answer.status == 0 ? failed_connections_ + 1 : 0;
  const int64_t most = std::max(kMinFailedConnections, shape_.users);
  if (failed_connections_ >= most && record_.stopped.empty()) {
    record_.stopped = fmt::format("the server is gone: {} requests in a row got no answer ({})",
                                  failed_connections_, answer.failure);
  }
  record_.answers.push_back(std::move(answer));
}

}  // namespace hachi::cli
