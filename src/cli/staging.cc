#include "cli/staging.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

#include "cli/interrupt.h"

namespace hachi::cli {
namespace fs = std::filesystem;
namespace {

constexpr const char* kPrefix = ".pull-";
constexpr auto kRetryTime = std::chrono::milliseconds(50);

tl::unexpected<Error> cannot_write(const fs::path& path, const std::string& why) {
  return fail(
      Code::kIo,
      "{}: cannot write there: {}; make room or rights, or set HACHI_HOME to another folder",
      path.string(), why);
}

Result<void> wait_for_lock(int fd, const fs::path& path, bool quiet) {
  bool told = quiet;
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return cannot_write(path, std::strerror(errno));
    if (InterruptGuard::requested()) return fail(Code::kCancelled, "interrupted");
    if (!std::exchange(told, true)) {
      fmt::print(stderr, "another pull is at work on this store: waiting for it\n");
    }
    std::this_thread::sleep_for(kRetryTime);
  }
  return {};
}

// Whoever holds the lock is the only pull: all working folders are of pulls that were killed. A pip
// that outlived its pull may still write into one; then that is left for the next time.
void remove_leftovers(const fs::path& root) {
  std::error_code error;
  fs::directory_iterator at(root, error);
  while (!error && at != fs::directory_iterator()) {
    const fs::path entry = at->path();
    at.increment(error);
    std::error_code ignored;
    if (entry.filename().string().rfind(kPrefix, 0) == 0) fs::remove_all(entry, ignored);
  }
}

}  // namespace

Staging::Staging(Staging&& other) noexcept
    : folder_(std::exchange(other.folder_, {})), lock_fd_(std::exchange(other.lock_fd_, -1)) {}

Staging::~Staging() {
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

Result<Staging> Staging::open(const ModelStore& store, bool quiet) {
  const fs::path& root = store.root();
  std::error_code error;
  fs::create_directories(root / "models", error);
  if (error) return cannot_write(root, error.message());
  const fs::path lock = root / ".lock";
  const int fd = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return cannot_write(lock, std::strerror(errno));
  Staging staging(fd);
  TRY(wait_for_lock(fd, lock, quiet));
  remove_leftovers(root);
  std::string name = (root / kPrefix).string() + "XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) return cannot_write(root, std::strerror(errno));
  staging.folder_ = name;
  return staging;
}

Result<void> Staging::need_space(uint64_t bytes) const {
  std::error_code error;
  const fs::space_info space = fs::space(folder_, error);
  if (error || space.available >= bytes) return {};
  return fail(Code::kIo,
              "{}: needs {} of disk, only {} are free; make room, or set HACHI_HOME to a folder on "
              "another disk",
              folder_.parent_path().string(), human_bytes(bytes), human_bytes(space.available));
}

Result<void> Staging::commit(const fs::path& made, const fs::path& place) {
  std::error_code error;
  if (fs::symlink_status(place, error).type() != fs::file_type::not_found) {
    fs::rename(place, folder_ / "replaced", error);
    if (error) return cannot_write(place, error.message());
  }
  fs::rename(made, place, error);
  if (error) return cannot_write(place, error.message());
  return {};
}

}  // namespace hachi::cli
