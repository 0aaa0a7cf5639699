#include "server/batch_store.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "api/fields.h"
#include "core/files.h"
#include "server/data_folder.h"

namespace hachi::server {
namespace {

api::ApiError not_found(std::string_view id) {
  return {404, fmt::format("there is no batch {}", api::shown(boost::json::string(id))), "id",
          "not_found"};
}

}  // namespace

std::filesystem::path BatchStore::record_path(const std::string& id) const {
  return folder_ / (id + ".json");
}

Result<void> BatchStore::load() {
  const std::lock_guard lock(mutex_);
  TRY(const auto ids, record_ids(folder_, kBatchId));
  for (const std::string& id : ids) {
    auto text = read_file(record_path(id), kMaxRecordBytes);
    if (!text) continue;
    auto record = parse_batch_record(*text, record_path(id).string());
    if (record && record->batch.id == id) batches_[id] = *std::move(record);
  }
  return {};
}

void BatchStore::make_room() {
  while (batches_.size() >= kMaxBatches) {
    auto oldest = batches_.end();
    for (auto at = batches_.begin(); at != batches_.end(); ++at) {
      if (!has_ended(at->second.batch.status)) continue;
      if (oldest == batches_.end() || at->second.created_us < oldest->second.created_us) {
        oldest = at;
      }
    }
    if (oldest == batches_.end()) return;
    std::error_code ignored;
    std::filesystem::remove(record_path(oldest->first), ignored);
    batches_.erase(oldest);
  }
}

api::ApiResult<api::Batch> BatchStore::add(BatchRecord record) {
  const std::lock_guard lock(mutex_);
  const auto open = std::count_if(batches_.begin(), batches_.end(), [&](const auto& one) {
    return one.second.owner == record.owner && !has_ended(one.second.batch.status);
  });
  make_room();
  if (open >= kMaxOpenBatches || batches_.size() >= kMaxBatches) {
    return tl::unexpected(api::ApiError{
        429,
        fmt::format("at most {} batches of a key may be open: wait until one has ended",
                    kMaxOpenBatches),
        "", "rate_limit_exceeded"});
  }
  const std::string id = record.batch.id;
  if (!write_record(record_path(id), to_json(record))) {
    std::error_code ignored;
    std::filesystem::remove(record_path(id), ignored);
    return tl::unexpected(api::ApiError{500, "the batch could not be written to the server's disk",
                                        "", "internal_error"});
  }
  return batches_.insert_or_assign(id, std::move(record)).first->second.batch;
}

api::ApiResult<api::Batch> BatchStore::find(std::string_view owner, const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = batches_.find(id);
  if (found == batches_.end() || !(owner.empty() || found->second.owner == owner)) {
    return tl::unexpected(not_found(id));
  }
  return found->second.batch;
}

api::ApiResult<Page<api::Batch>> BatchStore::list(std::string_view owner,
                                                  const api::ListQuery& query) const {
  const std::lock_guard lock(mutex_);
  std::vector<Listed> all;
  for (const auto& [id, record] : batches_) {
    if (owner.empty() || record.owner == owner) all.push_back({record.created_us, id});
  }
  auto listed = page_of(std::move(all), query);
  if (!listed) return tl::unexpected(std::move(listed).error());
  Page<api::Batch> page;
  for (const Listed& one : listed->items) page.items.push_back(batches_.at(one.id).batch);
  page.has_more = listed->has_more;
  return page;
}

std::vector<BatchRecord> BatchStore::open() const {
  const std::lock_guard lock(mutex_);
  std::vector<BatchRecord> open;
  for (const auto& [id, record] : batches_) {
    if (!has_ended(record.batch.status)) open.push_back(record);
  }
  std::sort(open.begin(), open.end(),
            [](const BatchRecord& a, const BatchRecord& b) { return a.created_us < b.created_us; });
  return open;
}

std::optional<BatchRecord> BatchStore::get(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = batches_.find(id);
  return found == batches_.end() ? std::nullopt : std::optional(found->second);
}

Result<std::optional<api::Batch>> BatchStore::update(const std::string& id, const Change& change) {
  const std::lock_guard lock(mutex_);
  const auto found = batches_.find(id);
  if (found == batches_.end()) return std::optional<api::Batch>();
  BatchRecord changed = found->second;
  if (change(changed.batch)) {
    TRY(write_record(record_path(id), to_json(changed)));
    found->second = changed;
  }
  return std::optional(found->second.batch);
}

void BatchStore::count(const std::string& id, int64_t completed, int64_t failed) {
  const std::lock_guard lock(mutex_);
  const auto found = batches_.find(id);
  if (found == batches_.end()) return;
  found->second.batch.completed = completed;
  found->second.batch.failed = failed;
}

}  // namespace hachi::server
