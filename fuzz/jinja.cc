// A chat template and the conversation that it renders: the input is the template, the byte 0x1E,
// and a JSON object whose "messages" and "tools" are those of RenderInput and whose other members
// are variables. Every range of untrusted bytes must lie within the prompt, in order and apart.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include <boost/json/parse.hpp>

#include "chat/chat_template.h"
#include "core/check.h"
#include "core/utf8.h"

namespace {

constexpr char kSeparator = 0x1E;

hachi::chat::RenderInput input_of(std::string_view text) {
  hachi::chat::RenderInput input;
  input.now = std::tm{};
  input.bos_token = "<s>";
  boost::system::error_code error;
  const boost::json::value json = boost::json::parse({text.data(), text.size()}, error);
  const boost::json::object* object = error ? nullptr : json.if_object();
  if (!object) return input;
  for (const auto& member : *object) {
    const boost::json::value& value = member.value();
    if (member.key() == "messages" && value.is_array()) {
      input.messages = value.get_array();
    } else if (member.key() == "tools" && value.is_array()) {
      input.tools = value.get_array();
    } else {
      input.extra[member.key()] = value;
    }
  }
  return input;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(all.find(kSeparator), size);
  const auto parsed = hachi::chat::ChatTemplate::parse(all.substr(0, end));
  if (!parsed) return 0;
  const auto prompt = parsed->render(input_of(all.substr(std::min(end + 1, size))));
  if (!prompt) return 0;
  CHECK(hachi::is_utf8(prompt->text));
  size_t at = 0;
  for (const hachi::TextRange& range : prompt->untrusted) {
    CHECK(range.begin < range.end);
    CHECK(at == 0 || range.begin > at);
    CHECK(range.end <= prompt->text.size());
    at = range.end;
  }
  return 0;
}
