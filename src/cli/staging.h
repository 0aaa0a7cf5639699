// The working folder of one pull: inside the store, so that what is whole can be renamed into
// place, and gone afterwards however the pull ends.
#pragma once

#include <cstdint>
#include <filesystem>

#include "cli/store.h"
#include "core/result.h"

namespace hachi::cli {

class Staging {
 public:
  Staging(Staging&& other) noexcept;
  Staging& operator=(Staging&&) = delete;
  ~Staging();

  // Makes the store if need be, waits for the pull that holds its lock (saying so on standard error
  // unless `quiet`), removes what killed pulls left, and makes an empty folder. Fails with kIo, or
  // with kCancelled on a signal.
  static Result<Staging> open(const ModelStore& store, bool quiet);

  const std::filesystem::path& folder() const { return folder_; }

  // Fails with kIo if the disk has less than `bytes` to give.
  Result<void> need_space(uint64_t bytes) const;

  // Renames `made`, a folder or link inside folder(), to `place` in one step; what stood there
  // before goes. The files of `made` must have been synced.
  Result<void> commit(const std::filesystem::path& made, const std::filesystem::path& place);

 private:
  explicit Staging(int lock_fd) : lock_fd_(lock_fd) {}
  std::filesystem::path folder_;
  int lock_fd_;  // the store's .lock
};

}  // namespace hachi::cli
