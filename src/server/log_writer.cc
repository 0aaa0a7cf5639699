#include "server/log_writer.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>
#include <utility>

namespace hachi::server {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

Result<LogFile> LogFile::open(const std::filesystem::path& path) {
  if (path.empty()) return LogFile(STDERR_FILENO);
  // A FIFO without a reader would hold up the start: O_NONBLOCK refuses it. On a plain file it
  // means nothing.
  const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const int fd = ::open(path.c_str(), flags, 0640);
  if (fd < 0) {
    return fail(Code::kIo, "{}: cannot open it for the access log: {}", path.string(),
                std::strerror(errno));
  }
  return LogFile(fd);
}

LogFile::LogFile(LogFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

LogFile& LogFile::operator=(LogFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

LogFile::~LogFile() {
  if (fd_ >= 0 && fd_ != STDERR_FILENO) ::close(fd_);
}

size_t LogFile::write(std::string_view bytes, Clock::time_point deadline) const {
  size_t written = 0;
  while (written < bytes.size()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) break;
    // stderr is not ours to make non-blocking. poll() says when a pipe has room for PIPE_BUF bytes,
    // so that a write of as many does not block; a plain file is always ready.
    pollfd ready{.fd = fd_, .events = POLLOUT, .revents = 0};
    const int answer = ::poll(&ready, 1, static_cast<int>(left.count()));
    if (answer < 0 && errno == EINTR) continue;
    if (answer <= 0) break;
    const size_t count = std::min<size_t>(bytes.size() - written, PIPE_BUF);
    const ssize_t got = ::write(fd_, bytes.data() + written, count);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) break;
    written += static_cast<size_t>(got);
  }
  return written;
}

LogWriter::LogWriter(LogFile file) : file_(std::move(file)), thread_([this] { run(); }) {}

LogWriter::~LogWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  news_.notify_one();
  thread_.join();
}

void LogWriter::write(std::string_view line) {
  {
    const std::lock_guard lock(mutex_);
    if (line.size() > kMaxPendingBytes - pending_.size()) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    pending_ += line;
    num_taken_ += line.size();
  }
  news_.notify_one();
}

void LogWriter::replace(LogFile file) {
  {
    const std::lock_guard lock(mutex_);
    next_file_ = std::move(file);
  }
  news_.notify_one();
}

void LogWriter::flush() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this, until = num_taken_] { return num_done_ >= until && !next_file_; });
}

void LogWriter::run() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);  // a reader that is gone is an error of write()
  std::string lines;
  std::unique_lock lock(mutex_);
  for (;;) {
    news_.wait(lock, [this] { return stop_ || !pending_.empty() || next_file_; });
    if (next_file_) {
      file_ = *std::exchange(next_file_, std::nullopt);
      inside_line_ = false;
    }
    lines.swap(pending_);
    if (!lines.empty()) {
      lock.unlock();
      write_out(lines);
      lock.lock();
      num_done_ += lines.size();
      lines.clear();
    }
    done_.notify_all();
    if (stop_ && pending_.empty()) return;
  }
}

void LogWriter::write_out(std::string_view lines) {
  // The rest of a line that broke off stays lost; the next begins on its own line.
  const Clock::time_point deadline = Clock::now() + kPatience;
  if (inside_line_ && file_.write("\n", deadline) == 1) inside_line_ = false;
  const size_t written = inside_line_ ? 0 : file_.write(lines, deadline);
  if (written == lines.size()) return;
  const std::string_view lost = lines.substr(written);
  dropped_.fetch_add(std::count(lost.begin(), lost.end(), '\n'), std::memory_order_relaxed);
  inside_line_ = inside_line_ || (written > 0 && lines[written - 1] != '\n');
}

}  // namespace hachi::server
