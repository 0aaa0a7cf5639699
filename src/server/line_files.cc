#include "server/line_files.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "server/data_folder.h"

namespace hachi::server {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr std::string_view kResultId = "batch_req_";
constexpr size_t kNumberDigits = 8;

tl::unexpected<Error> system_error(std::string_view doing, const std::string& name) {
  return fail(Code::kIo, "{}: cannot {}: {}", name, doing, std::strerror(errno));
}

// Bytes read; 0 at the end.
Result<size_t> read_some(int fd, char* to, size_t size, const std::string& name) {
  ssize_t got = -1;
  do {
    got = ::read(fd, to, size);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return system_error("read it", name);
  return static_cast<size_t>(got);
}

// Watches the lines of a result file go by, in pieces of any size.
class ResultScanner {
 public:
  ResultScanner(std::string_view batch_id, const std::function<bool(int64_t)>& take_line)
      : head_("{\"id\":\"" + result_id(batch_id, 0)), take_line_(take_line) {
    head_.resize(head_.size() - kNumberDigits);
  }

  // False once a line is not a result.
  bool take(std::string_view piece) {
    while (!piece.empty()) {
      const std::string_view part = piece.substr(0, std::min(piece.find('\n'), piece.size()));
      piece.remove_prefix(part.size());
      // Writers escape control characters; bytes that never reached the disk read as zeros.
      if (std::any_of(part.begin(), part.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20; })) {
        return false;
      }
      const size_t wanted = head_.size() + kNumberDigits + 1;  // with the quote behind
      begin_ += part.substr(0, wanted - std::min(begin_.size(), wanted));
      line_bytes_ += part.size();
      if (!part.empty()) last_ = part.back();
      if (piece.empty()) return true;
      piece.remove_prefix(1);
      if (!end_line()) return false;
    }
    return true;
  }

  uint64_t whole_bytes() const { return whole_bytes_; }

 private:
  bool end_line() {
    int64_t number = 0;
    if (begin_.size() != head_.size() + kNumberDigits + 1 || !begin_.starts_with(head_)) {
      return false;
    }
    const char* first = begin_.data() + head_.size();
    const auto [end, error] = std::from_chars(first, first + kNumberDigits, number);
    if (error != std::errc() || end != first + kNumberDigits || *end != '"' || last_ != '}') {
      return false;
    }
    if (number < 1 || !take_line_(number)) return false;
    whole_bytes_ += line_bytes_ + 1;
    line_bytes_ = 0;
    begin_.clear();
    return true;
  }

  std::string head_;  // what each line begins with, up to the number
  const std::function<bool(int64_t)>& take_line_;
  std::string begin_;  // of this line
  char last_ = 0;
  uint64_t line_bytes_ = 0;
  uint64_t whole_bytes_ = 0;
};

}  // namespace

LineReader::LineReader(int fd, std::string name, size_t max_line_bytes)
    : fd_(fd), name_(std::move(name)), max_line_bytes_(max_line_bytes) {}

LineReader::LineReader(LineReader&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      name_(std::move(other.name_)),
      max_line_bytes_(other.max_line_bytes_) {}  // moved only before its first line

LineReader::~LineReader() {
  if (fd_ >= 0) ::close(fd_);
}

Result<LineReader> LineReader::open(const std::filesystem::path& path, size_t max_line_bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return system_error("open it", path.string());
  return LineReader(fd, path.string(), max_line_bytes);
}

Result<void> LineReader::fill() {
  buffer_.erase(0, std::exchange(begin_, 0));
  const size_t kept = buffer_.size();
  buffer_.resize(kept + kReadBytes);
  auto got = read_some(fd_, buffer_.data() + kept, kReadBytes, name_);
  buffer_.resize(kept + (got ? *got : 0));
  if (!got) return tl::unexpected(std::move(got).error());
  at_end_ = *got == 0;
  return {};
}

Result<bool> LineReader::next() {
  ++number_;
  size_t searched = 0;
  while (true) {
    const size_t end = buffer_.find('\n', begin_ + searched);
    const size_t length = std::min(end, buffer_.size()) - begin_;
    if (length > max_line_bytes_) {
      return fail(Code::kLimit, "line {} is longer than the {} bytes that a line may have", number_,
                  max_line_bytes_);
    }
    if (end != std::string::npos || at_end_) {
      if (end == std::string::npos && length == 0) return false;
      line_ = std::string_view(buffer_).substr(begin_, length);
      begin_ += length + (end == std::string::npos ? 0 : 1);
      if (line_.ends_with('\r')) line_.remove_suffix(1);
      return true;
    }
    searched = length;
    TRY(fill());
  }
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

std::string result_id(std::string_view batch_id, int64_t number) {
  batch_id.remove_prefix(std::min(kBatchId.size(), batch_id.size()));
  return fmt::format("{}{}_{:0{}}", kResultId, batch_id, number, kNumberDigits);
}

ResultFile::ResultFile(ResultFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      name_(std::move(other.name_)),
      bytes_(other.bytes_),
      is_synced_(other.is_synced_) {}

ResultFile::~ResultFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<ResultFile> ResultFile::open(const std::filesystem::path& path, std::string_view batch_id,
                                    const std::function<bool(int64_t)>& take_line) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return system_error("open it", path.string());
  ResultFile file(fd, path.string());
  ResultScanner scanner(batch_id, take_line);
  std::string buffer(kReadBytes, '\0');
  bool goes_on = true;
  while (goes_on) {
    TRY(const size_t got, read_some(fd, buffer.data(), buffer.size(), file.name_));
    goes_on = got > 0 && scanner.take(std::string_view(buffer).substr(0, got));
  }
  file.bytes_ = scanner.whole_bytes();
  TRY(file.cut());
  return file;
}

Result<void> ResultFile::cut() {
  if (::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) return system_error("cut it", name_);
  return {};
}

Result<void> ResultFile::append(std::string_view line) {
  is_synced_ = false;
  uint64_t at = bytes_;
  while (!line.empty()) {
    const ssize_t put = ::pwrite(fd_, line.data(), line.size(), static_cast<off_t>(at));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      auto failed = system_error("write it", name_);
      TRY(cut());
      return failed;
    }
    line.remove_prefix(static_cast<size_t>(put));
    at += static_cast<uint64_t>(put);
  }
  bytes_ = at;
  return {};
}

Result<void> ResultFile::sync() {
  if (std::exchange(is_synced_, true)) return {};
  if (::fdatasync(fd_) == 0) return {};
  is_synced_ = false;
  return system_error("sync it", name_);
}

}  // namespace hachi::server
