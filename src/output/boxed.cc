#include "output/boxed.h"

#include <cstddef>
#include <vector>

namespace hachi::output {
namespace {

constexpr std::string_view kOpenings[] = {"\\boxed", "\\fbox"};
constexpr std::string_view kSpace = " \t\r\n";

// Past the opening brace if a box begins at `at`, else `at`.
size_t box_begin(std::string_view text, size_t at) {
  for (const std::string_view opening : kOpenings) {
    if (text.substr(at, opening.size()) != opening) continue;
    const size_t brace = text.find_first_not_of(kSpace, at + opening.size());
    if (brace != std::string_view::npos && text[brace] == '{') return brace + 1;
  }
  return at;
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

std::optional<std::string_view> last_boxed(std::string_view text) {
  // One pass, whatever is left open: each brace that closes a box is matched with the box, and of
  // those within one another the outermost closes last.
  struct Box {
    size_t begin;
    size_t depth;  // of braces before its own
  };
  std::vector<Box> open;
  std::optional<std::string_view> found;
  size_t depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      const size_t begin = box_begin(text, i);
      if (begin == i) {
        ++i;  // an escaped character, which is no brace
        continue;
      }
      open.push_back({begin, depth++});
      i = begin - 1;
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && depth > 0) {
      --depth;
      if (open.empty() || open.back().depth != depth) continue;
      found = trimmed(text.substr(open.back().begin, i - open.back().begin));
      open.pop_back();
    }
  }
  return found;
}

}  // namespace hachi::output
