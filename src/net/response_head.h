// The head of a response as bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "net/http_message.h"

namespace hachi::net {

struct HeadFacts {
  int status = 200;
  bool http11 = true;  // of the request: HTTP/1.0 must be told that a connection stays open
  bool keep_alive = true;
  bool chunked = false;
  std::optional<uint64_t> content_length;  // left out for a stream
};

// Status line, `headers`, Date and what `facts` say about the body. Fields that are net's own to
// write, and names that are no names, are left out of `headers`.
std::string response_head(const HeadFacts& facts, const Headers& headers);

// True for the names of fields that net writes itself in each message.
bool is_written_by_net(std::string_view name);

// Appends "name: value" with control characters of the value as spaces; nothing if `name` is not a
// header's name.
void append_field(std::string& head, std::string_view name, std::string_view value);

}  // namespace hachi::net
