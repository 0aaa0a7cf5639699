#include "server/storage.h"

#include <string>
#include <vector>

namespace hachi::server {
namespace {

constexpr const char* kFilesFolder = "files";
constexpr const char* kBatchesFolder = "batches";

}  // namespace

Storage::Storage(FolderLock lock, const std::filesystem::path& folder, uint64_t max_bytes)
    : lock_(std::move(lock)),
      files_(folder / kFilesFolder, max_bytes),
      batches_(folder / kBatchesFolder) {}

Result<std::unique_ptr<Storage>> Storage::open(const std::filesystem::path& folder,
                                               uint64_t max_bytes) {
  TRY(make_folder(folder));
  TRY(FolderLock lock, FolderLock::take(folder));
  TRY(make_folder(folder / kFilesFolder));
  TRY(make_folder(folder / kBatchesFolder));
  std::unique_ptr<Storage> storage(new Storage(std::move(lock), folder, max_bytes));
  TRY(storage->batches_.load());
  std::vector<std::string> results;
  for (const BatchRecord& record : storage->batches_.open()) {
    storage->hold_files(record);
    results.push_back(record.output_id);
    results.push_back(record.error_id);
  }
  TRY(storage->files_.load(results));
  return storage;
}

void Storage::hold_files(const BatchRecord& record) {
  files_.hold(record.batch.request.input_file_id);
  files_.hold(record.output_id);
  files_.hold(record.error_id);
}

void Storage::release_files(const BatchRecord& record) {
  files_.release(record.batch.request.input_file_id);
  files_.release(record.output_id);
  files_.release(record.error_id);
}

}  // namespace hachi::server
