#include "grammar/formats.h"

#include <algorithm>
#include <array>
#include <utility>

namespace hachi::grammar {
namespace {

#define HACHI_DATE                                                               \
  "[1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]" \
  "|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
#define HACHI_TIME \
  "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define HACHI_LABEL "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?"
#define HACHI_HOST HACHI_LABEL "(\\." HACHI_LABEL "){0,4}"
#define HACHI_BYTE "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])"
#define HACHI_URI_CHARS "[A-Za-z0-9._~!$&'()*+,;=:@/-]{0,1000}"

constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kFormats = {{
    {"date", HACHI_DATE},
    {"date-time", HACHI_DATE "T" HACHI_TIME},
    {"duration",
     "P([1-9][0-9]{0,3}W|[1-9][0-9]{0,3}D(T[1-9][0-9]{0,3}[HMS])?|T[1-9][0-9]{0,3}[HMS])"},
    {"email",
     "[A-Za-z0-9_+-]{1,32}(\\.[A-Za-z0-9_+-]{1,16}){0,2}@" HACHI_LABEL "(\\." HACHI_LABEL "){1,4}"},
    {"hostname", HACHI_HOST},
    {"ipv4", HACHI_BYTE "(\\." HACHI_BYTE "){3}"},
    {"time", HACHI_TIME},
    {"uri", "(https?|ftp)://" HACHI_HOST "(:[1-9][0-9]{0,3})?(/" HACHI_URI_CHARS
            ")?(\\?" HACHI_URI_CHARS ")?(#" HACHI_URI_CHARS ")?"},
    {"uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"},
}};

#undef HACHI_DATE
#undef HACHI_TIME
#undef HACHI_LABEL
#undef HACHI_HOST
#undef HACHI_BYTE
#undef HACHI_URI_CHARS

}  // namespace

std::optional<std::string_view> format_pattern(std::string_view format) {
  const auto found = std::find_if(kFormats.begin(), kFormats.end(),
                                  [format](const auto& known) { return known.first == format; });
  if (found == kFormats.end()) return std::nullopt;
  return found->second;
}

}  // namespace hachi::grammar
