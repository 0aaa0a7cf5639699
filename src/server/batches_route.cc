// /v1/batches
#include <utility>

#include "api/batches.h"
#include "api/list_query.h"
#include "server/routes.h"
#include "server/storage_steps.h"

namespace hachi::server {
namespace {

constexpr int64_t kListedBatches = 20;  // as OpenAI has it
constexpr int64_t kMaxListedBatches = 100;

std::string batch_json(const api::Batch& batch) {
  std::string body;
  api::append_batch(body, batch);
  return body;
}

api::ApiResult<BatchRecord> new_record(const App& app, api::BatchRequest request,
                                       const std::string& owner) {
  BatchRecord record;
  record.owner = owner;
  record.created_us = app.now_us();
  record.batch.request = std::move(request);
  record.batch.created_at = record.created_us / kMicroseconds;
  record.batch.expires_at = record.batch.created_at + kWindowSeconds;
  auto id = fresh_id(kBatchId), output = fresh_id(kFileId), error = fresh_id(kFileId);
  for (const auto* one : {&id, &output, &error}) {
    if (!*one) return tl::unexpected(api::to_api_error(one->error()));
  }
  record.batch.id = *id;
  record.output_id = *output;
  record.error_id = *error;
  return record;
}

api::ApiResult<api::Batch> create(const App& app, Storage& storage, std::string_view body,
                                  const std::string& owner) {
  auto request = api::parse_batch_request(body);
  if (!request) return tl::unexpected(std::move(request).error());
  auto record = new_record(app, *std::move(request), owner);
  if (!record) return tl::unexpected(std::move(record).error());
  const std::string& input = record->batch.request.input_file_id;
  storage.hold_files(*record);  // before it is looked for, so that it stays
  const auto file = storage.files().find(owner, input);
  api::ApiResult<api::Batch> batch;
  if (!file) {
    batch = tl::unexpected(api::invalid_field("input_file_id",
                                              "there is no file of that id: upload it with the "
                                              "purpose 'batch' first"));
  } else if (file->purpose != api::FilePurpose::kBatch) {
    batch = tl::unexpected(api::invalid_field(
        "input_file_id", "the input file must have the purpose 'batch', not '{}'",
        api::to_string(file->purpose)));
  } else {
    batch = storage.batches().add(*record);
  }
  if (!batch) storage.release_files(*record);
  return batch;
}

api::ApiResult<api::Batch> cancel(const App& app, Storage& storage, const std::string& owner,
                                  const std::string& id) {
  auto found = storage.batches().find(owner, id);
  if (!found) return found;
  const int64_t now = app.now_us() / kMicroseconds;
  auto updated = storage.batches().update(id, [&](api::Batch& batch) {
    const bool may_end = batch.status == api::BatchStatus::kValidating ||
                         batch.status == api::BatchStatus::kInProgress;
    if (!may_end) return false;
    batch.status = api::BatchStatus::kCancelling;
    batch.cancelling_at = now;
    return true;
  });
  if (!updated) {
    return tl::unexpected(api::ApiError{500, "the batch could not be written to the server's disk",
                                        "", "internal_error"});
  }
  if (!*updated || (*updated)->status != api::BatchStatus::kCancelling) {
    const auto status = *updated ? (*updated)->status : found->status;
    return tl::unexpected(api::ApiError{
        409, fmt::format("a batch that is {} cannot be cancelled", api::to_string(status)), "",
        "invalid_state"});
  }
  return **updated;
}

}  // namespace

net::awaitable<void> answer_create_batch(Visit& visit, std::string) {
  const std::string owner = owner_of(visit);
  auto work = [&](Storage& storage) -> api::ApiResult<std::string> {
    auto batch = create(visit.app(), storage, visit.exchange().request().body, owner);
    if (!batch) return tl::unexpected(std::move(batch).error());
    return batch_json(*batch);
  };
  co_await send_from_disk(visit, work);
  visit.app().wake_batches();
}

net::awaitable<void> answer_batches(Visit& visit, std::string) {
  const std::string owner = owner_of(visit);
  auto work = [&](Storage& storage) -> api::ApiResult<std::string> {
    const auto query =
        api::parse_list_query(visit.exchange().request().query, kListedBatches, kMaxListedBatches);
    if (!query) return tl::unexpected(query.error());
    if (!query->purpose.empty()) {
      return tl::unexpected(api::invalid_field("purpose", "batches have no purpose"));
    }
    const auto page = storage.batches().list(owner, *query);
    if (!page) return tl::unexpected(page.error());
    std::string body;
    api::append_batch_list(body, page->items, page->has_more);
    return body;
  };
  co_await send_from_disk(visit, work);
}

net::awaitable<void> answer_batch(Visit& visit, std::string id) {
  const std::string owner = owner_of(visit);
  auto work = [&](Storage& storage) -> api::ApiResult<std::string> {
    const auto batch = storage.batches().find(owner, id);
    if (!batch) return tl::unexpected(batch.error());
    return batch_json(*batch);
  };
  co_await send_from_disk(visit, work);
}

net::awaitable<void> answer_cancel_batch(Visit& visit, std::string id) {
  const std::string owner = owner_of(visit);
  auto work = [&](Storage& storage) -> api::ApiResult<std::string> {
    auto batch = cancel(visit.app(), storage, owner, id);
    if (!batch) return tl::unexpected(std::move(batch).error());
    return batch_json(*batch);
  };
  co_await send_from_disk(visit, work);
  visit.app().wake_batches();
}

}  // namespace hachi::server
