// A form. The first line of the input is its type, the rest its body. What is read lies within the
// body, part after part, and has names that differ; written anew it is read the same.
#include "server/multipart.h"

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "core/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hachi::server;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t line = input.find('\n');
  if (line == std::string_view::npos) return 0;
  const std::string_view type = input.substr(0, line), body = input.substr(line + 1);
  const auto parts = parse_multipart(type, body);
  if (!parts) {
    CHECK(parts.error().status == 400 && !parts.error().message.empty());
    return 0;
  }
  CHECK(parts->size() <= kMaxFormParts);
  std::set<std::string_view> names;
  const char* last = body.data();
  std::string again;
  for (const FormPart& part : *parts) {
    CHECK(!part.name.empty() && names.insert(part.name).second);
    CHECK(part.content.data() >= last);
    last = part.content.data() + part.content.size();
    CHECK(last <= body.data() + body.size());
    again += fmt::format("--x\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{}\r\n",
                         part.name, part.content);
  }
  again += "--x--";
  const auto reread = parse_multipart("multipart/form-data; boundary=x", again);
  if (!reread) return 0;  // a content holds what is the boundary now, or a name is too long
  for (size_t i = 0; i < reread->size() && reread->size() == parts->size(); ++i) {
    CHECK((*reread)[i].name == (*parts)[i].name);
    CHECK((*reread)[i].content == (*parts)[i].content);
  }
  return 0;
}
