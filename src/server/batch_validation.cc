// The lines of a batch's input before any of them runs.
#include <utility>

#include "server/batch_run.h"

namespace hachi::server {
namespace {

// Lines between which others may run.
constexpr int64_t kLinesAtOnce = 64;

}  // namespace

std::optional<api::ApiError> BatchRun::check_line(
    std::string_view text, std::unordered_set<std::string>& custom_ids) const {
  auto line = api::parse_batch_line(text);
  if (!line) {
    api::ApiError error = std::move(line).error();
    if (error.code == "invalid_json") error.code = "invalid_json_line";
    return error;
  }
  const std::string& endpoint = record_.batch.request.endpoint;
  if (line->url != endpoint) {
    return api::ApiError{400,
                         fmt::format("the url is {}, but the batch is for {}", line->url, endpoint),
                         "url", "mismatched_endpoint"};
  }
  if (!custom_ids.insert(line->custom_id).second) {
    return api::ApiError{400, "another line has the same custom_id", "custom_id",
                         "duplicate_custom_id"};
  }
  return std::nullopt;
}

net::awaitable<Result<std::vector<api::BatchLineError>>> BatchRun::validate() {
  auto reader = open_input();
  if (!reader) co_return tl::unexpected(std::move(reader).error());
  std::vector<api::BatchLineError> errors;
  std::unordered_set<std::string> custom_ids;
  int64_t total = 0;
  while (!was_given_up() && errors.size() < kMaxListedErrors) {
    auto more = reader->next();
    const int64_t number = reader->number();
    if (!more && more.error().code != Code::kLimit) {
      co_return tl::unexpected(std::move(more).error());
    }
    if (!more) {
      errors.push_back({number, {400, more.error().message, "", "line_too_long"}});
      break;
    }
    if (!*more) break;
    if (number > kMaxBatchLines) {
      errors.push_back({number,
                        {400, fmt::format("a batch has at most {} lines", kMaxBatchLines), "",
                         "too_many_lines"}});
      break;
    }
    if (number % kLinesAtOnce == 0) co_await yield();
    if (is_blank(reader->line())) continue;
    ++total;
    auto error = check_line(reader->line(), custom_ids);
    if (error) errors.push_back({number, *std::move(error)});
  }
  if (total == 0 && errors.empty()) {
    errors.push_back({1, {400, "the file has no lines", "", "empty_file"}});
  }
  record_.batch.total = total;
  co_return errors;
}

// The batch goes on, or has failed, or is being cancelled, as its record then says.
net::awaitable<Result<void>> BatchRun::begin() {
  auto errors = co_await validate();
  if (!errors) co_return tl::unexpected(std::move(errors).error());
  if (was_given_up()) co_return Result<void>();
  const int64_t now = app_.now_us() / kMicroseconds;
  auto updated = storage_.batches().update(record_.batch.id, [&](api::Batch& batch) {
    if (batch.status != api::BatchStatus::kValidating) return false;
    const bool runs = errors->empty();
    batch.total = record_.batch.total;
    batch.status = runs ? api::BatchStatus::kInProgress : api::BatchStatus::kFailed;
    (runs ? batch.in_progress_at : batch.failed_at) = now;
    batch.errors = *errors;
    return true;
  });
  if (!updated) co_return tl::unexpected(std::move(updated).error());
  co_return Result<void>();
}

}  // namespace hachi::server
