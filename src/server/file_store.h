// FileStore: the files of /v1/files. Each is two files of the folder: ID, its bytes, and ID.json,
// its record, which is written last: a file without a record does not exist.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "api/batches.h"
#include "api/error.h"
#include "core/result.h"
#include "server/list_page.h"

namespace hachi::server {

inline constexpr size_t kMaxFiles = 100'000;
inline constexpr size_t kMaxFilenameBytes = 255;

// Any thread may call it; it waits for the disk, so the network's do not. An owner is the name of
// an API key; "" is the owner where no keys are asked for, who sees all files.
class FileStore {
 public:
  // `max_bytes`: of all files together.
  FileStore(std::filesystem::path folder, uint64_t max_bytes)
      : folder_(std::move(folder)), max_bytes_(max_bytes) {}

  // Reads what is there. Bytes without a record are what was being uploaded when the server ended
  // and go, but those of `results`, which batches still write.
  Result<void> load(std::span<const std::string> results);

  // Fails with 507 if there is no room.
  api::ApiResult<api::FileObject> add(const std::string& owner, const std::string& filename,
                                      std::string_view content, int64_t now_us);
  // These fail with 404 if there is no such file, or it is another owner's.
  api::ApiResult<api::FileObject> find(std::string_view owner, const std::string& id) const;
  api::ApiResult<void> remove(std::string_view owner, const std::string& id);  // 409: it is held

  api::ApiResult<Page<api::FileObject>> list(std::string_view owner,
                                             const api::ListQuery& query) const;

  // ---- for batches, whose ids are known to be well formed

  // It cannot be removed until it was released as often. It may be still to come.
  void hold(const std::string& id);
  void release(const std::string& id);
  std::filesystem::path path_of(std::string_view id) const { return folder_ / id; }
  // For bytes of a file that is not published yet. Fails with kLimit if there is no room.
  Result<void> take_room(uint64_t bytes);
  void give_back(uint64_t bytes);
  bool has_room() const;
  // Makes the bytes at path_of(file.id), for which room was taken, a file.
  Result<void> publish(const std::string& owner, api::FileObject file, int64_t now_us);

 private:
  struct Entry {
    api::FileObject file;
    std::string owner;
    int64_t created_us = 0;
  };

  std::filesystem::path record_path(std::string_view id) const;
  Result<Entry> read(const std::string& id) const;
  Result<void> write(const Entry& entry) const;
  // Under the lock.
  const Entry* visible(std::string_view owner, const std::string& id) const;

  const std::filesystem::path folder_;
  const uint64_t max_bytes_;
  mutable std::mutex mutex_;  // guards all below
  std::map<std::string, Entry> files_;
  std::map<std::string, int> holds_;
  uint64_t used_bytes_ = 0;
};

}  // namespace hachi::server
