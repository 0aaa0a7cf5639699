// Server-sent events as a client reads them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

namespace hachi::api {

struct Event {
  std::string name;  // empty: data alone
  std::string data;

  boost::json::value json() const { return boost::json::parse(data); }
};

inline std::vector<Event> events_of(std::string_view text) {
  std::vector<Event> out;
  while (!text.empty()) {
    const size_t end = text.find("\n\n");
    if (end == text.npos) {
      ADD_FAILURE() << "an event has no end: " << text;
      return out;
    }
    std::string_view event = text.substr(0, end);
    text.remove_prefix(end + 2);
    Event read;
    if (event.starts_with("event: ")) {
      const size_t line = event.find('\n');
      read.name = event.substr(7, line - 7);
      event.remove_prefix(line + 1);
    }
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    EXPECT_EQ(event.find('\n'), event.npos) << event;
    read.data = event.substr(6);
    out.push_back(read);
  }
  return out;
}

}  // namespace hachi::api
