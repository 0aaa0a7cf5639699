#include "api/list_query.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "api/fields.h"

namespace hachi::api {
namespace {

std::optional<uint8_t> hex_byte(std::string_view digits) {
  uint8_t byte = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
  if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2) return std::nullopt;
  return byte;
}

// Percent-encoding and "+" for a space, as forms have them. Null if a "%" has no two digits.
std::optional<std::string> decode(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at] == '+' ? ' ' : text[at];
      continue;
    }
    const auto byte = hex_byte(text.substr(at + 1, 2));
    if (!byte) return std::nullopt;
    out += static_cast<char>(*byte);
    at += 2;
  }
  return out;
}

// The query as an object whose values are texts, for a FieldReader; a limit is a number if it can.
json::object object_of(std::string_view query, FirstError& error) {
  json::object out;
  while (!query.empty() && !error) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    const auto key = decode(pair.substr(0, equals));
    const auto value = decode(pair.substr(std::min(equals + 1, pair.size())));
    if (!key || !value || pair.size() > kMaxNameBytes) {
      error =
          ApiError{400, "the query of the URL is not well formed or too long", "", "invalid_value"};
      return out;
    }
    int64_t number = 0;
    const char* end = value->data() + value->size();
    const auto [stopped, failed] = std::from_chars(value->data(), end, number);
    if (*key == "limit" && failed == std::errc() && stopped == end) {
      out[*key] = number;
    } else {
      out[*key] = *value;
    }
  }
  return out;
}

}  // namespace

ApiResult<ListQuery> parse_list_query(std::string_view query, int64_t limit, int64_t max_limit) {
  FirstError error;
  const json::object object = object_of(query, error);
  FieldReader fields(object, "", error);
  ListQuery out;
  out.limit = fields.integer("limit", {1, max_limit}).value_or(limit);
  out.after = fields.text("after").value_or("");
  out.ascending = fields.word("order", {"asc", "desc"}) == "asc";
  out.purpose = fields.text("purpose").value_or("");
  fields.finish();
  return value_or_error(std::move(out), error);
}

}  // namespace hachi::api
