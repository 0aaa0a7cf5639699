#include "server/batch_runner.h"

#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace hachi::server {
namespace {

constexpr size_t kMaxRuns = 4;
// How often it is looked whether a batch has to end; results reach the disk as often.
constexpr auto kTick = std::chrono::milliseconds(500);
// Until a batch whose disk failed, or had no room, is taken up again.
constexpr auto kRest = std::chrono::seconds(30);

}  // namespace

BatchRunner::BatchRunner(App& app, Storage& storage) : app_(app), storage_(storage) {}

Result<std::unique_ptr<BatchRunner>> BatchRunner::create(App& app, Storage& storage) {
  std::unique_ptr<BatchRunner> runner(new BatchRunner(app, storage));
  TRY(runner->hub_, NewsHub::create(runner->context_));
  return runner;
}

BatchRunner::~BatchRunner() { join(); }

void BatchRunner::start() {
  boost::asio::co_spawn(context_, supervise(), [](const std::exception_ptr&) {});
  thread_ = std::thread([this] {
    while (true) {
      try {
        context_.run();
        return;  // stopped
      } catch (...) {
        // From a handler: the others go on.
      }
    }
  });
}

void BatchRunner::wake() {
  boost::asio::post(context_, [this] { wake_.cancel(); });
}

void BatchRunner::notify() {
  if (num_runs_.load(std::memory_order_relaxed) > 0) hub_->notify();
}

void BatchRunner::stop() {
  boost::asio::post(context_, [this] {
    is_stopping_ = true;
    for (const auto& [id, run] : runs_) run->end(BatchRun::End::kStopped);
    wake_.cancel();
  });
}

void BatchRunner::join() {
  if (!thread_.joinable()) return;
  stop();
  thread_.join();
}

net::awaitable<void> BatchRunner::supervise() {
  while (!is_stopping_ || !runs_.empty()) {
    const bool any_open = !is_stopping_ && look();
    wake_.expires_at(any_open ? Clock::now() + kTick : Clock::time_point::max());
    co_await wake_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }
  context_.stop();  // the hub would listen on
}

bool BatchRunner::has_expired(const BatchRecord& record) const {
  return app_.now_us() / kMicroseconds >= record.batch.expires_at;
}

bool BatchRunner::look() {
  std::erase_if(rests_, [](const auto& rest) { return rest.second <= Clock::now(); });
  const std::vector<BatchRecord> open = storage_.batches().open();
  for (const BatchRecord& record : open) {
    const auto running = runs_.find(record.batch.id);
    const bool is_cancelled = record.batch.status == api::BatchStatus::kCancelling;
    if (!is_cancelled && !has_expired(record)) continue;
    // What has to end does not wait for its turn.
    if (running == runs_.end() && !rests_.contains(record.batch.id)) begin(record);
    if (const auto run = runs_.find(record.batch.id); run != runs_.end()) {
      run->second->end(is_cancelled ? BatchRun::End::kCancelled : BatchRun::End::kExpired);
    }
  }
  while (const BatchRecord* record = next(open)) begin(*record);
  const ModelPoolOptions& models = app_.options().models;
  const int64_t room = models.copies * batch_room(models.engine.scheduler.max_sequences);
  const auto num_runs = static_cast<int64_t>(std::max<size_t>(runs_.size(), 1));
  for (const auto& [id, run] : runs_) {
    run->set_window(std::max<int64_t>(room / num_runs, 1));
    (void)run->sync();  // one that fails is tried again, and in any case at the end
  }
  return !open.empty();
}

const BatchRecord* BatchRunner::next(const std::vector<BatchRecord>& open) const {
  if (runs_.size() >= kMaxRuns || !storage_.files().has_room()) return nullptr;
  const auto runs_of = [this](const std::string& owner) {
    return std::count_if(runs_.begin(), runs_.end(),
                         [&](const auto& run) { return run.second->record().owner == owner; });
  };
  const BatchRecord* best = nullptr;
  for (const BatchRecord& record : open) {
    if (runs_.contains(record.batch.id) || rests_.contains(record.batch.id)) continue;
    if (best == nullptr || runs_of(record.owner) < runs_of(best->owner)) best = &record;
  }
  return best;
}

void BatchRunner::begin(BatchRecord record) {
  const std::string id = record.batch.id;
  auto run =
      std::make_shared<BatchRun>(app_, *hub_, context_.get_executor(), storage_, std::move(record));
  runs_[id] = run;
  ++num_runs_;
  boost::asio::co_spawn(
      context_, run->run(),
      [this, id, run](const std::exception_ptr& thrown, const Result<void>& result) {
        // Its lines may still run, and another run of the batch may begin.
        if (thrown) run->fail({Code::kInternal, "the batch was given up"});
        ended(id, !thrown && result.has_value());
      });
}

void BatchRunner::ended(const std::string& id, bool is_well) {
  runs_.erase(id);
  --num_runs_;
  const auto record = storage_.batches().get(id);
  if (record && has_ended(record->batch.status)) {
    storage_.release_files(*record);
  } else if (!is_well) {
    rests_[id] = Clock::now() + kRest;
  }
  wake_.cancel();
}

}  // namespace hachi::server
