// Storage: what a server keeps on disk for its users.
//
//   FOLDER/.lock      held by the server that works with it
//   FOLDER/files/     the files (file_store.h), and what batches have written so far
//   FOLDER/batches/   the batches (batch_store.h)
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

#include "core/result.h"
#include "server/batch_store.h"
#include "server/data_folder.h"
#include "server/file_store.h"

namespace hachi::server {

class Storage {
 public:
  // Makes the folder if there is none. Fails if another server works with it.
  static Result<std::unique_ptr<Storage>> open(const std::filesystem::path& folder,
                                               uint64_t max_bytes);

  // An open batch keeps the files that it reads and writes.
  void hold_files(const BatchRecord& record);
  void release_files(const BatchRecord& record);

  FileStore& files() { return files_; }
  BatchStore& batches() { return batches_; }

 private:
  Storage(FolderLock lock, const std::filesystem::path& folder, uint64_t max_bytes);

  FolderLock lock_;
  FileStore files_;
  BatchStore batches_;
};

}  // namespace hachi::server
