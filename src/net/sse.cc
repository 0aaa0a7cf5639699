#include "net/sse.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace hachi::net {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

Result<void> SseParser::push(std::string_view bytes, std::vector<SseEvent>& events) {
  while (!bytes.empty() && !failed_) {
    if (std::exchange(after_return_, false) && bytes.front() == '\n') {
      bytes.remove_prefix(1);
      continue;
    }
    const size_t end = std::min(bytes.find_first_of("\r\n"), bytes.size());
    if (end + line_.size() + data_.size() > max_event_bytes_) {
      failed_ = true;
      break;
    }
    const bool complete = end < bytes.size();
    if (!complete) {
      line_.append(bytes);
    } else if (line_.empty()) {
      take_line(bytes.substr(0, end), events);
    } else {
      line_.append(bytes.substr(0, end));
      take_line(line_, events);
      line_.clear();
    }
    after_return_ = complete && bytes[end] == '\r';
    bytes.remove_prefix(end + (complete ? 1 : 0));
  }
  if (failed_) {
    return fail(Code::kLimit, "the stream has an event of more than {} bytes", max_event_bytes_);
  }
  return {};
}

void SseParser::take_line(std::string_view line, std::vector<SseEvent>& events) {
  if (std::exchange(first_line_, false) && line.starts_with(kByteOrderMark)) {
    line.remove_prefix(kByteOrderMark.size());
  }
  if (line.empty()) return dispatch(events);
  const size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == line.npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    data_.append(value).append(1, '\n');
  } else if (field == "event") {
    type_ = value;
  } else if (field == "id" && value.find('\0') == value.npos) {
    id_ = value;
  }
}

void SseParser::dispatch(std::vector<SseEvent>& events) {
  if (!data_.empty()) {
    data_.pop_back();
    SseEvent& event = events.emplace_back();
    if (!type_.empty()) event.type = type_;
    event.data = std::move(data_);
    event.id = id_;
  }
  type_.clear();
  data_.clear();
}

void append_sse_event(std::string& out, std::string_view data, std::string_view type) {
  CHECK(type.find_first_of("\r\n") == type.npos);
  if (!type.empty()) out.append("event: ").append(type).append("\n");
  for (bool more = true; more;) {
    const size_t end = data.find_first_of("\r\n");
    out.append("data: ").append(data.substr(0, end)).append("\n");
    more = end != data.npos;
    if (more) data.remove_prefix(end + (data.substr(end, 2) == "\r\n" ? 2 : 1));
  }
  out.append("\n");
}

}  // namespace hachi::net
