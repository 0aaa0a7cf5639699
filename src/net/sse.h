// Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html,
// sections 9.2.5 (the format) and 9.2.6 (its interpretation).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace hachi::net {

struct SseEvent {
  std::string type = "message";
  std::string data;  // the data lines, joined by LF
  std::string id;    // of this event or the last one that had one
};

// Events out of a stream that comes in pieces of any sizes. What the stream leaves unfinished at
// its end is no event. Bytes that are not UTF-8 are handed on as they are. "retry" is read over: a
// caller decides for itself when to connect again.
class SseParser {
 public:
  // The most bytes that one event and the line after it may hold.
  explicit SseParser(uint64_t max_event_bytes = 16 << 20) : max_event_bytes_(max_event_bytes) {}

  // Appends the events that are complete with `bytes`. Fails when an event passes the limit, and
  // from then on.
  Result<void> push(std::string_view bytes, std::vector<SseEvent>& events);

 private:
  void take_line(std::string_view line, std::vector<SseEvent>& events);
  void dispatch(std::vector<SseEvent>& events);

  uint64_t max_event_bytes_;
  std::string line_;  // without its end, as far as it came
  std::string type_;
  std::string data_;  // each line with an LF after it
  std::string id_;
  bool first_line_ = true;     // which may begin with a byte order mark
  bool after_return_ = false;  // an LF now belongs to the CR before it
  bool failed_ = false;
};

// Appends an event to `out`: "data: ...", one for each line of `data`, under "event: ..." if `type`
// is not empty. `type` has no line ends.
void append_sse_event(std::string& out, std::string_view data, std::string_view type = {});

}  // namespace hachi::net
