// An expression: what has a value has it as a number that can be read again and is the same then.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/expression.h"
#include "core/check.h"
#include "core/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hachi::agent;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto value = evaluate(text);
  if (!value) {
    CHECK(!value.error().message.empty());
    CHECK_LE(value.error().message.size(), 1000u);
    CHECK(hachi::is_utf8(value.error().message));
    return 0;
  }
  const std::string written = to_text(*value);
  CHECK_LE(written.size(), 40u);
  // The largest double rounds up to more than there is; -2^127 is read as the negative of 2^127,
  // which is a double.
  const auto again = evaluate(written);
  if (again && written != "-170141183460469231731687303715884105728") {
    CHECK_EQ(to_text(*again), written);
  }
  return 0;
}
