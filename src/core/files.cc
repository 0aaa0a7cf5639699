#include "core/files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace hachi::inline core {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

tl::unexpected<Error> system_error(std::string_view doing, const std::filesystem::path& path) {
  const int number = errno;
  const Code code = number == ENOENT || number == ENOTDIR ? Code::kNotFound : Code::kIo;
  return fail(code, "{}: cannot {}: {}", path.string(), doing, std::strerror(number));
}

// Opens without blocking on a pipe or a device, which are refused.
Result<int> open_regular(const std::filesystem::path& path, struct stat& info) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return system_error("open it", path);
  if (::fstat(fd, &info) != 0) {
    ::close(fd);
    return system_error("read its size", path);
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return fail(Code::kInvalidArgument, "{}: not a regular file", path.string());
  }
  return fd;
}

Result<void> write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return system_error("write it", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

}  // namespace

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  struct stat info {};
  TRY(const int fd, open_regular(path, info));
  const Descriptor file(fd);
  MappedFile mapped;
  if (info.st_size == 0) return mapped;
  const auto size = static_cast<size_t>(info.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) return system_error("map it", path);
  // Where the file is not in memory yet it is then read in huge pages, and mapped in them; weights
  // that are multiplied where they lie are read a good deal faster so. Only advice.
  (void)::madvise(data, size, MADV_HUGEPAGE);
  mapped.data_ = static_cast<const std::byte*>(data);
  mapped.size_ = size;
  return mapped;
}

void release_pages(std::span<const std::byte> mapped) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(mapped.data());
  const uintptr_t begin = (first + page - 1) / page * page;
  const uintptr_t end = (first + mapped.size()) / page * page;
  // What it answers does not matter: it is advice.
  if (begin < end) (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

Result<std::string> read_file(const std::filesystem::path& path, uint64_t max_bytes) {
  struct stat info {};
  TRY(const int fd, open_regular(path, info));
  const Descriptor file(fd);
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > max_bytes) {
    return fail(Code::kLimit, "{}: {} bytes, more than the {} allowed", path.string(), size,
                max_bytes);
  }
  std::string text(size, '\0');
  size_t at = 0;
  while (at < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + at, text.size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("read it", path);
    if (got == 0) break;
    at += static_cast<size_t>(got);
  }
  text.resize(at);
  return text;
}

NewFile::NewFile(int fd, std::filesystem::path path, std::string beside)
    : fd_(fd), path_(std::move(path)), beside_(std::move(beside)) {}

NewFile::NewFile(NewFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      beside_(std::move(other.beside_)) {}

NewFile::~NewFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(beside_.c_str());
}

Result<NewFile> NewFile::create(const std::filesystem::path& path) {
  std::string beside = path.string() + ".partial-XXXXXX";
  const int fd = ::mkostemp(beside.data(), O_CLOEXEC);
  if (fd < 0) return system_error("create it", path);
  return NewFile(fd, path, std::move(beside));
}

Result<void> NewFile::reserve(uint64_t bytes) {
  if (bytes == 0 || ::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0) {
    return {};
  }
  if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR) return {};
  return system_error(fmt::format("make room for {} bytes", bytes), path_);
}

Result<void> NewFile::write(std::span<const std::byte> bytes) {
  return write_all(fd_, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path_);
}

Result<void> NewFile::commit() {
  if (::fsync(fd_) != 0 || ::fchmod(fd_, 0644) != 0) return system_error("write it", path_);
  if (::rename(beside_.c_str(), path_.c_str()) != 0) return system_error("rename it", path_);
  ::close(std::exchange(fd_, -1));
  return {};
}

Result<void> write_file(const std::filesystem::path& path, std::string_view bytes) {
  TRY(NewFile file, NewFile::create(path));
  TRY(file.write(std::as_bytes(std::span(bytes.data(), bytes.size()))));
  return file.commit();
}

}  // namespace hachi::inline core
