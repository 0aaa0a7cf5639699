#include "server/data_folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <openssl/rand.h>

#include "core/files.h"

namespace hachi::server {
namespace {

constexpr size_t kIdBytes = 16;

tl::unexpected<Error> system_error(std::string_view doing, const std::filesystem::path& path) {
  return fail(Code::kIo, "{}: cannot {}: {}", path.string(), doing, std::strerror(errno));
}

// So that a rename in it survives a loss of power.
Result<void> sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error("open it", folder);
  const int synced = ::fsync(fd);
  ::close(fd);
  if (synced != 0) return system_error("sync it", folder);
  return {};
}

}  // namespace

Result<std::string> fresh_id(std::string_view prefix) {
  std::array<unsigned char, kIdBytes> bytes;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return fail(Code::kIo, "the system's source of random numbers gives none");
  }
  std::string id(prefix);
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

bool is_id(std::string_view prefix, std::string_view text) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return text.size() == 2 * kIdBytes && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<void> make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) == 0) return {};
  if (errno == EEXIST && std::filesystem::is_directory(folder, error)) return {};
  return system_error("make the folder", folder);
}

Result<void> write_record(const std::filesystem::path& path, std::string_view text) {
  TRY(write_file(path, text));
  return sync_folder(path.parent_path());
}

Result<std::vector<std::string>> record_ids(const std::filesystem::path& folder,
                                            std::string_view prefix) {
  std::vector<std::string> ids;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; at != end; at.increment(error)) {
    const std::filesystem::path name = at->path().filename();
    if (name.string().find(".partial-") != std::string::npos) {
      std::error_code ignored;
      std::filesystem::remove(at->path(), ignored);
    } else if (name.extension() == ".json" && is_id(prefix, name.stem().string())) {
      ids.push_back(name.stem().string());
    }
  }
  if (error) return fail(Code::kIo, "{}: cannot list it: {}", folder.string(), error.message());
  return ids;
}

Result<FolderLock> FolderLock::take(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / ".lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return system_error("open it", path);
  FolderLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return system_error("lock it", path);
  return fail(Code::kIo, "{}: another server works with this folder", folder.string());
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace hachi::server
