#include "net/response_head.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

namespace hachi::net {
namespace {

// RFC 9110 section 5.6.2
bool is_token_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

// The Date field of this second (RFC 9110 section 5.6.7), made once a second and thread.
const std::string& date_field() {
  thread_local std::time_t second = -1;
  thread_local std::string field;
  const std::time_t now = std::time(nullptr);
  if (now == second) return field;
  second = now;
  std::tm utc = {};
  gmtime_r(&now, &utc);
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  field = fmt::format("Date: {}, {:02} {} {} {:02}:{:02}:{:02} GMT\r\n", kDays[utc.tm_wday],
                      utc.tm_mday, kMonths[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
                      utc.tm_sec);
  return field;
}

}  // namespace

bool is_written_by_net(std::string_view name) {
  for (const std::string_view ours :
       {"Content-Length", "Transfer-Encoding", "Connection", "Date"}) {
    if (equal_ignoring_case(name, ours)) return true;
  }
  return false;
}

void append_field(std::string& head, std::string_view name, std::string_view value) {
  if (name.empty() || !std::all_of(name.begin(), name.end(), is_token_char)) return;
  head.append(name).append(": ");
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    head += (byte < 0x20 && c != '\t') || byte == 0x7f ? ' ' : c;
  }
  head.append("\r\n");
}

std::string response_head(const HeadFacts& facts, const Headers& headers) {
  std::string head;
  head.reserve(256);
  fmt::format_to(std::back_inserter(head), "HTTP/1.1 {} {}\r\n", facts.status,
                 status_text(facts.status));
  for (const Header& field : headers) {
    if (!is_written_by_net(field.name)) append_field(head, field.name, field.value);
  }
  head += date_field();
  if (facts.chunked) head += "Transfer-Encoding: chunked\r\n";
  // RFC 9110 section 8.6: none with 204 and 304, which have no body.
  if (facts.content_length && facts.status != 204 && facts.status != 304) {
    fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n", *facts.content_length);
  }
  if (!facts.keep_alive) {
    head += "Connection: close\r\n";
  } else if (!facts.http11) {
    head += "Connection: keep-alive\r\n";
  }
  head += "\r\n";
  return head;
}

}  // namespace hachi::net
