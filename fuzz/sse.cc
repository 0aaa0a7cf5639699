// Server-sent events: the same events come out of the whole stream and of its pieces, and what was
// read can be written and read again.
#include "net/sse.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/check.h"

namespace {

using namespace hachi;
using namespace hachi::net;

constexpr uint64_t kLimit = 512;

std::vector<SseEvent> events_of(std::string_view stream, size_t piece) {
  SseParser parser(kLimit);
  std::vector<SseEvent> events;
  for (; !stream.empty(); stream.remove_prefix(std::min(piece, stream.size()))) {
    if (!parser.push(stream.substr(0, piece), events)) break;
  }
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::vector<SseEvent> whole = events_of(stream, stream.size() + 1);
  const std::vector<SseEvent> pieces = events_of(stream, 1 + data[0] % 16);
  CHECK_EQ(whole.size(), pieces.size());
  std::string written;
  for (size_t i = 0; i < whole.size(); ++i) {
    CHECK(whole[i].data == pieces[i].data && whole[i].type == pieces[i].type);
    CHECK(whole[i].id == pieces[i].id);
    CHECK_LE(whole[i].data.size() + whole[i].type.size(), 2 * kLimit);
    append_sse_event(written, whole[i].data);
  }
  SseParser parser;
  std::vector<SseEvent> again;
  CHECK(parser.push(written, again));
  CHECK_EQ(again.size(), whole.size());
  for (size_t i = 0; i < whole.size(); ++i) CHECK(again[i].data == whole[i].data);
  return 0;
}
