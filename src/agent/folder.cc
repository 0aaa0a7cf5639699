#include "agent/folder.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "formats/printable.h"

namespace hachi::agent {
namespace {

constexpr int kMaxTries = 16;  // the kernel asks for another if something was renamed meanwhile
constexpr size_t kReadBytes = 64 << 10;

tl::unexpected<Error> open_error(std::string_view path, int error) {
  const std::string name = formats::printable(path);
  switch (error) {
    case ENOENT:
      return fail(Code::kNotFound, "there is no {} in the folder", name);
    case EXDEV:
    case ELOOP:
      return fail(Code::kInvalidArgument,
                  "{} leads out of the folder: use a path relative to it, without '..' and links",
                  name);
    case ENOTDIR:
      return fail(Code::kInvalidArgument, "{} is no folder, or not in one", name);
    case ENOSYS:
    case EPERM:
      return fail(Code::kUnsupported,
                  "cannot open {}: this system has no openat2 (Linux 5.6), which keeps paths in "
                  "the folder",
                  name);
    default:
      return fail(Code::kIo, "cannot open {}: {}", name, std::strerror(error));
  }
}

}  // namespace

Result<Folder> Folder::open(const std::filesystem::path& path) {
  Descriptor folder(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open()) {
    return fail(errno == ENOENT ? Code::kNotFound : Code::kIo, "cannot open the folder {}: {}",
                formats::printable(path.native()), std::strerror(errno));
  }
  return Folder(std::move(folder));
}

Result<Descriptor> Folder::open_beneath(std::string_view path, uint64_t flags) const {
  if (path.find('\0') != path.npos) {
    return fail(Code::kInvalidArgument, "a path cannot hold a zero byte");
  }
  const std::string name = path.empty() ? "." : std::string(path);
  open_how how{};
  how.flags = flags | O_RDONLY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int tries = 1;; ++tries) {
    Descriptor opened(
        static_cast<int>(::syscall(SYS_openat2, folder_.get(), name.c_str(), &how, sizeof how)));
    if (opened.is_open()) return opened;
    const bool is_worth_another = errno == EAGAIN || errno == EINTR;
    if (!is_worth_another || tries == kMaxTries) return open_error(path, errno);
  }
}

Result<Descriptor> Folder::open_folder(std::string_view path) const {
  return open_beneath(path, O_DIRECTORY);
}

Result<std::string> Folder::read(std::string_view path, uint64_t max_bytes) const {
  // Not blocking: opening a FIFO would wait for its writer.
  TRY(const Descriptor file, open_beneath(path, O_NONBLOCK | O_NOCTTY));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return fail(Code::kInvalidArgument, "{} is not a file", formats::printable(path));
  }
  // Files of /proc say that they are empty, and others grow.
  std::string text;
  while (text.size() <= max_bytes) {
    const size_t before = text.size();
    text.resize(before + kReadBytes);
    const ssize_t got = ::read(file.get(), text.data() + before, kReadBytes);
    text.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return fail(Code::kIo, "cannot read {}: {}", formats::printable(path), std::strerror(errno));
    }
    if (got == 0) return text;
  }
  return fail(Code::kLimit, "{} has more than the {} bytes allowed", formats::printable(path),
              max_bytes);
}

}  // namespace hachi::agent
