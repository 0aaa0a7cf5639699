#include "server/multipart.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "net/http_message.h"

namespace hachi::server {
namespace {

constexpr size_t kMaxBoundaryBytes = 70;  // RFC 2046 5.1.1
constexpr std::string_view kLineEnd = "\r\n";

tl::unexpected<api::ApiError> refuse(std::string message) {
  return tl::unexpected(api::ApiError{400, std::move(message), "", "invalid_form"});
}

bool is_token_character(char c) {
  const bool is_alphanumeric =
      (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return is_alphanumeric || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string_view take_token(std::string_view& text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_token_character);
  const auto length = static_cast<size_t>(end - text.begin());
  const std::string_view token = text.substr(0, length);
  text.remove_prefix(length);
  return token;
}

void skip_blanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
}

bool take(std::string_view& text, std::string_view wanted) {
  if (!text.starts_with(wanted)) return false;
  text.remove_prefix(wanted.size());
  return true;
}

// What is between quotes, backslashes and all; none if the second quote is missing.
std::optional<std::string_view> take_quoted(std::string_view& text) {
  for (size_t at = 1; at < text.size(); ++at) {
    if (text[at] == '"') {
      const std::string_view value = text.substr(1, at - 1);
      text.remove_prefix(at + 1);
      return value;
    }
    if (text[at] == '\\') ++at;
  }
  return std::nullopt;
}

// The values of the parameters `names` of a header; false if it is not well formed or has one of
// them twice. What stands before the first ";" is for the caller.
template <size_t kCount>
bool read_parameters(std::string_view text, const std::string_view (&names)[kCount],
                     std::optional<std::string_view> (&values)[kCount]) {
  while (true) {
    skip_blanks(text);
    if (text.empty()) return true;
    if (!take(text, ";")) return false;
    skip_blanks(text);
    const std::string_view name = take_token(text);
    if (name.empty() || !take(text, "=")) return false;
    const auto value = text.starts_with('"') ? take_quoted(text) : std::optional(take_token(text));
    if (!value) return false;
    for (size_t i = 0; i < kCount; ++i) {
      if (!net::equal_ignoring_case(name, names[i])) continue;
      if (values[i]) return false;
      values[i] = value;
    }
  }
}

std::optional<std::string_view> read_boundary(std::string_view content_type) {
  constexpr std::string_view kType = "multipart/form-data";
  if (!net::equal_ignoring_case(content_type.substr(0, kType.size()), kType)) return std::nullopt;
  content_type.remove_prefix(kType.size());
  constexpr std::string_view kNames[] = {"boundary"};
  std::optional<std::string_view> values[1];
  if (!read_parameters(content_type, kNames, values)) return std::nullopt;
  if (!values[0] || values[0]->empty() || values[0]->size() > kMaxBoundaryBytes) {
    return std::nullopt;
  }
  return values[0];
}

bool read_disposition(std::string_view value, FormPart& part) {
  if (!net::equal_ignoring_case(take_token(value), "form-data")) return false;
  constexpr std::string_view kNames[] = {"name", "filename", "filename*"};
  std::optional<std::string_view> values[3];
  if (!read_parameters(value, kNames, values)) return false;
  part.name = values[0].value_or("");
  part.filename = values[1].value_or("");
  part.is_file = values[1] || values[2];
  return !part.name.empty();
}

// `head`: header lines, each with its end.
std::optional<std::string> read_part_head(std::string_view head, FormPart& part) {
  bool has_disposition = false;
  while (!head.empty()) {
    const size_t end = head.find(kLineEnd);
    std::string_view line = head.substr(0, end);
    head.remove_prefix(end + kLineEnd.size());
    const std::string_view name = take_token(line);
    if (name.empty() || !take(line, ":")) return "a header of a part of the form is not one";
    skip_blanks(line);
    if (net::equal_ignoring_case(name, "content-disposition")) {
      if (std::exchange(has_disposition, true) || !read_disposition(line, part)) {
        return "each part of the form needs one Content-Disposition: form-data; name=\"...\"";
      }
    } else if (net::equal_ignoring_case(name, "content-transfer-encoding")) {
      const bool is_plain = net::equal_ignoring_case(line, "binary") ||
                            net::equal_ignoring_case(line, "8bit") ||
                            net::equal_ignoring_case(line, "7bit");
      if (!is_plain) return "parts of the form must be sent as they are, without an encoding";
    }
  }
  if (!has_disposition) return "a part of the form has no Content-Disposition";
  return std::nullopt;
}

// One part, from behind the boundary before it to behind the one after it.
api::ApiResult<FormPart> take_part(std::string_view& body, std::string_view delimiter) {
  const size_t head_end = body.substr(0, kMaxPartHeadBytes).find("\r\n\r\n");
  if (head_end == std::string_view::npos) {
    return refuse("a part of the form has no end of its headers, or more than 8 KiB of them");
  }
  FormPart part;
  if (auto error = read_part_head(body.substr(0, head_end + kLineEnd.size()), part)) {
    return refuse(*std::move(error));
  }
  body.remove_prefix(head_end + 2 * kLineEnd.size());
  const size_t end = body.find(delimiter);
  if (end == std::string_view::npos) return refuse("the form has no closing boundary");
  part.content = body.substr(0, end);
  body.remove_prefix(end + delimiter.size());
  return part;
}

}  // namespace

api::ApiResult<std::vector<FormPart>> parse_multipart(std::string_view content_type,
                                                      std::string_view body) {
  const auto boundary = read_boundary(content_type);
  if (!boundary) {
    return refuse("the request must be a form: Content-Type: multipart/form-data; boundary=...");
  }
  const std::string delimiter = fmt::format("{}--{}", kLineEnd, *boundary);
  if (!take(body, std::string_view(delimiter).substr(kLineEnd.size()))) {
    return refuse("the form does not begin with its boundary");
  }
  std::vector<FormPart> parts;
  while (!take(body, "--")) {
    skip_blanks(body);
    if (!take(body, kLineEnd)) return refuse("a boundary of the form is not alone on its line");
    if (parts.size() == kMaxFormParts) {
      return refuse(fmt::format("the form has more than {} parts", kMaxFormParts));
    }
    auto part = take_part(body, delimiter);
    if (!part) return tl::unexpected(std::move(part).error());
    const bool is_twice = std::any_of(parts.begin(), parts.end(),
                                      [&](const auto& one) { return one.name == part->name; });
    if (is_twice) return refuse("two parts of the form have the same name");
    parts.push_back(*part);
  }
  skip_blanks(body);
  (void)take(body, kLineEnd);
  if (!body.empty()) return refuse("something follows the end of the form");
  return parts;
}

}  // namespace hachi::server
