#include "server/access_log.h"

#include <cmath>
#include <ctime>

#include <fmt/format.h>

#include "core/utf8.h"
#include "server/log_writer.h"

namespace hachi::server {
namespace {

// RFC 3339, UTC, milliseconds.
std::string rfc3339(std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::milliseconds>(time).time_since_epoch();
  const int64_t ms = (whole.count() % 1000 + 1000) % 1000;
  const std::time_t seconds = (whole.count() - ms) / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, ms);
}

// `text` in quotes, cut to `most` bytes. Beside what JSON asks for, DEL and the C1 controls are
// escaped, which would drive the terminal that shows the log.
void append_text(std::string& out, std::string_view text, size_t most) {
  const bool cut = text.size() > most;
  if (cut) text = text.substr(0, complete_utf8_prefix(text.substr(0, most)));
  out += '"';
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.code_point == '"' || c.code_point == '\\') {
      out += '\\';
      out += text[0];
    } else if (c.code_point < 0x20 || (c.code_point >= 0x7F && c.code_point < 0xA0)) {
      out += fmt::format("\\u{:04x}", c.code_point);
    } else {
      append_utf8(out, c.code_point);
    }
    text.remove_prefix(c.length);
  }
  out += cut ? "...\"" : "\"";
}

// One object, member by member; what is empty or absent is left out.
class Line {
 public:
  void add(std::string_view name, std::string_view text, size_t most = AccessLog::kMaxFieldBytes) {
    if (text.empty()) return;
    begin(name);
    append_text(out_, text, most);
  }
  void add_number(std::string_view name, std::optional<int64_t> value) {
    if (!value) return;
    begin(name);
    out_ += fmt::to_string(*value);
  }
  // Milliseconds, to the microsecond.
  void add_ms(std::string_view name, std::optional<double> value) {
    if (!value || !std::isfinite(*value)) return;
    begin(name);
    out_ += fmt::format("{:.3f}", *value);
  }
  void add_bool(std::string_view name, std::optional<bool> value) {
    if (!value) return;
    begin(name);
    out_ += *value ? "true" : "false";
  }
  std::string take() {
    out_ += "}\n";
    return std::move(out_);
  }

 private:
  void begin(std::string_view name) {
    out_ += out_.empty() ? "{\"" : ",\"";
    out_ += name;
    out_ += "\":";
  }

  std::string out_;
};

}  // namespace

std::string access_line(const AccessRecord& record, bool with_text) {
  Line line;
  line.add("time", rfc3339(record.time));
  line.add("client", record.client);
  line.add("key", record.key);
  line.add("method", record.method);
  line.add("path", record.path);
  line.add_number("status", record.status);
  line.add_ms("ms", record.ms);
  line.add("model", record.model);
  line.add_bool("stream", record.stream);
  line.add_number("prompt_tokens", record.prompt_tokens);
  line.add_number("cached_tokens", record.cached_tokens);
  line.add_number("completion_tokens", record.completion_tokens);
  line.add_ms("ttft_ms", record.ttft_ms);
  line.add("finish", record.finish);
  line.add("request_id", record.request_id);
  line.add("error", record.error);
  if (with_text) {
    line.add("prompt", record.prompt, AccessLog::kMaxTextBytes);
    line.add("answer", record.answer, AccessLog::kMaxTextBytes);
  }
  return line.take();
}

AccessLog::AccessLog(AccessLogOptions options, std::unique_ptr<LogWriter> writer)
    : options_(std::move(options)), writer_(std::move(writer)) {}

AccessLog::~AccessLog() = default;

Result<std::unique_ptr<AccessLog>> AccessLog::open(const AccessLogOptions& options) {
  TRY(LogFile file, LogFile::open(options.file));
  return std::unique_ptr<AccessLog>(
      new AccessLog(options, std::make_unique<LogWriter>(std::move(file))));
}

void AccessLog::write(const AccessRecord& record) {
  writer_->write(access_line(record, options_.with_text));
}

Result<void> AccessLog::reopen() {
  TRY(LogFile file, LogFile::open(options_.file));
  writer_->replace(std::move(file));
  return {};
}

void AccessLog::flush() { writer_->flush(); }

int64_t AccessLog::dropped() const { return writer_->dropped(); }

}  // namespace hachi::server
