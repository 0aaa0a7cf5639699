// BatchStore: the batches of /v1/batches. Each is a record of the folder, ID.json, that is written
// anew when its status changes; how far a batch has come stands in its result files alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/batches.h"
#include "api/error.h"
#include "core/result.h"
#include "server/list_page.h"

namespace hachi::server {

inline constexpr size_t kMaxBatches = 10'000;      // the oldest that have ended make room
inline constexpr int64_t kMaxOpenBatches = 100;    // of one owner
inline constexpr size_t kMaxListedErrors = 100;    // of the input's lines
inline constexpr int64_t kWindowSeconds = 86'400;  // the completion window, 24h

struct BatchRecord {
  api::Batch batch;  // names its result files once they are files
  std::string owner;
  int64_t created_us = 0;  // since 1970
  // Where results go, from the beginning.
  std::string output_id;
  std::string error_id;
};

bool has_ended(api::BatchStatus status);

std::string to_json(const BatchRecord& record);
// `name` is of the file, for errors.
Result<BatchRecord> parse_batch_record(std::string_view text, std::string_view name);

// Any thread may call it; it waits for the disk. Owners as FileStore's.
class BatchStore {
 public:
  explicit BatchStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Reads what is there. Records that cannot be read are left alone and do not exist.
  Result<void> load();

  // Fails with 429 if the owner has too many that have not ended.
  api::ApiResult<api::Batch> add(BatchRecord record);
  // Fails with 404 if there is none, or it is another owner's.
  api::ApiResult<api::Batch> find(std::string_view owner, const std::string& id) const;
  api::ApiResult<Page<api::Batch>> list(std::string_view owner, const api::ListQuery& query) const;

  // Those that have not ended, the oldest first.
  std::vector<BatchRecord> open() const;
  std::optional<BatchRecord> get(const std::string& id) const;

  // What `change` makes of the record's batch, once it is on the disk; false: it stays as it is.
  // Null if there is no such batch.
  using Change = std::function<bool(api::Batch&)>;
  Result<std::optional<api::Batch>> update(const std::string& id, const Change& change);
  // For those who look; not written.
  void count(const std::string& id, int64_t completed, int64_t failed);

 private:
  std::filesystem::path record_path(const std::string& id) const;
  // Under the lock.
  void make_room();

  const std::filesystem::path folder_;
  mutable std::mutex mutex_;  // guards all below
  std::map<std::string, BatchRecord> batches_;
};

}  // namespace hachi::server
