#include "server/batch_run.h"

#include <system_error>
#include <utility>

namespace hachi::server {
namespace {

api::ApiError expired_error() {
  return {400, "the batch's completion window was over before this line could run", "",
          "batch_expired"};
}

api::ApiError cancelled_error() {
  return {400, "the batch was cancelled before this line could run", "", "batch_cancelled"};
}

}  // namespace

BatchRun::BatchRun(App& app, NewsHub& hub, boost::asio::any_io_executor executor, Storage& storage,
                   BatchRecord record)
    : app_(app),
      hub_(hub),
      executor_(std::move(executor)),
      storage_(storage),
      record_(std::move(record)),
      is_done_(static_cast<size_t>(kMaxBatchLines) + 1),
      changed_(executor_, boost::asio::steady_timer::time_point::max()) {}

void BatchRun::end(End why) {
  if (end_ != End::kNone) return;
  end_ = why;
  wake_all();
}

void BatchRun::fail(Error error) {
  if (!error_) error_ = std::move(error);
  wake_all();
}

// What is woken may take itself out of these sets, but not before this returns.
void BatchRun::wake_all() {
  for (BatchCaller* caller : callers_) caller->leave();
  for (boost::asio::steady_timer* timer : pauses_) timer->cancel();
  changed_.cancel();
}

void BatchRun::set_window(int64_t lines) {
  if (lines == window_) return;
  window_ = lines;
  changed_.cancel();
}

Result<void> BatchRun::sync() {
  if (output_) {
    TRY(output_->sync());
  }
  if (errors_) {
    TRY(errors_->sync());
  }
  return {};
}

net::awaitable<Result<void>> BatchRun::run() {
  co_await yield();  // or co_spawn would begin it before who spawns it goes on
  if (record_.batch.status == api::BatchStatus::kValidating) {
    auto begun = co_await begin();
    if (!begun) co_return begun;
  }
  const auto record = storage_.batches().get(record_.batch.id);
  if (!record || has_ended(record->batch.status) || end_ == End::kStopped) co_return Result<void>();
  record_ = *record;
  if (record_.batch.status == api::BatchStatus::kCancelling) end(End::kCancelled);
  if (record_.batch.in_progress_at > 0) {
    auto opened = open_results();
    if (!opened) co_return opened;
    auto ran = co_await run_lines();
    if (!ran) co_return ran;
  }
  auto finished = co_await finish();
  if (!finished) co_return finished;
  if (error_) co_return tl::unexpected(*error_);
  co_return Result<void>();
}

Result<void> BatchRun::open_results() {
  TRY(open_results(output_, record_.output_id, completed_));
  TRY(open_results(errors_, record_.error_id, failed_));
  storage_.batches().count(record_.batch.id, completed_, failed_);
  return {};
}

Result<void> BatchRun::open_results(std::optional<ResultFile>& file, const std::string& id,
                                    int64_t& count) {
  const std::filesystem::path path = storage_.files().path_of(id);
  std::error_code is_new;
  const uint64_t before = std::filesystem::file_size(path, is_new);
  TRY(ResultFile opened, ResultFile::open(path, record_.batch.id, [&](int64_t number) {
        if (number < 1 || number > kMaxBatchLines) return false;
        if (is_done_[static_cast<size_t>(number)]) return false;
        is_done_[static_cast<size_t>(number)] = true;
        ++count;
        return true;
      }));
  if (!is_new) storage_.files().give_back(before - opened.bytes());
  file.emplace(std::move(opened));
  return {};
}

// Once nothing is in flight.
net::awaitable<Result<void>> BatchRun::finish() {
  if (end_ == End::kStopped || error_) co_return sync();
  int64_t refused = 0;
  if (output_ && end_ != End::kNone) {
    const api::ApiError error = end_ == End::kExpired ? expired_error() : cancelled_error();
    auto rest = co_await refuse_rest(error);
    if (!rest) co_return tl::unexpected(std::move(rest).error());
    refused = *rest;
  }
  if (error_) co_return sync();
  if (output_ && completed_ + failed_ != record_.batch.total) {
    co_return hachi::fail(Code::kInternal, "{}: {} of {} lines have no result", record_.batch.id,
                          record_.batch.total - completed_ - failed_, record_.batch.total);
  }
  co_return write_end(refused > 0);
}

Result<void> BatchRun::write_end(bool has_expired) {
  TRY(sync());
  const int64_t now = app_.now_us() / kMicroseconds;
  BatchStore& batches = storage_.batches();
  TRY(batches.update(record_.batch.id, [&](api::Batch& batch) {
    if (batch.status != api::BatchStatus::kInProgress || has_expired) return false;
    batch.status = api::BatchStatus::kFinalizing;
    batch.finalizing_at = now;
    return true;
  }));
  const bool has_output = output_ && output_->bytes() > 0;
  const bool has_errors = errors_ && errors_->bytes() > 0;
  if (output_) {
    TRY(publish(record_.output_id, *output_, "output"));
    TRY(publish(record_.error_id, *errors_, "error"));
  }
  TRY(batches.update(record_.batch.id, [&](api::Batch& batch) {
    const bool is_cancelled = batch.status == api::BatchStatus::kCancelling;
    batch.status = is_cancelled  ? api::BatchStatus::kCancelled
                   : has_expired ? api::BatchStatus::kExpired
                                 : api::BatchStatus::kCompleted;
    (is_cancelled ? batch.cancelled_at : has_expired ? batch.expired_at : batch.completed_at) = now;
    if (has_output) batch.output_file_id = record_.output_id;
    if (has_errors) batch.error_file_id = record_.error_id;
    return true;
  }));
  return {};
}

// A file without a line is none.
Result<void> BatchRun::publish(const std::string& id, const ResultFile& file,
                               std::string_view kind) {
  if (file.bytes() == 0) {
    std::error_code ignored;
    std::filesystem::remove(storage_.files().path_of(id), ignored);
    return {};
  }
  api::FileObject object{.id = id,
                         .bytes = static_cast<int64_t>(file.bytes()),
                         .filename = fmt::format("{}_{}.jsonl", record_.batch.id, kind),
                         .purpose = api::FilePurpose::kBatchOutput};
  return storage_.files().publish(record_.owner, std::move(object), app_.now_us());
}

}  // namespace hachi::server
