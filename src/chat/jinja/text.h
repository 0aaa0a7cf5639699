// Strings that know which of their bytes came from users. Every operation of the template language
// carries the marks along, so that the finished prompt says where no special token may be
// recognised: a user who writes "<|im_end|>" gets those ten characters and not the token.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/budget.h"
#include "core/result.h"
#include "core/text_range.h"

namespace hachi::chat::jinja {

enum class Trust { kTrusted, kUntrusted };

// Valid UTF-8. The ranges are sorted, apart from each other, not empty, and end between characters.
struct Text {
  std::string bytes;
  std::vector<TextRange> untrusted;
};
using TextPtr = std::shared_ptr<const Text>;

// Calls visit(bytes, trust) for each longest run of bytes of one trust, in order.
template <class Visit>
void for_each_run(const Text& text, Visit&& visit) {
  const std::string_view bytes = text.bytes;
  size_t at = 0;
  for (const TextRange& range : text.untrusted) {
    if (range.begin > at) visit(bytes.substr(at, range.begin - at), Trust::kTrusted);
    visit(bytes.substr(range.begin, range.end - range.begin), Trust::kUntrusted);
    at = range.end;
  }
  if (at < bytes.size()) visit(bytes.substr(at), Trust::kTrusted);
}

// Puts a text together and charges it to the budget. Once the budget is used up, appending does
// nothing and finish() fails.
class TextBuilder {
 public:
  explicit TextBuilder(Budget& budget) : budget_(&budget) {}

  void append(std::string_view bytes, Trust trust = Trust::kTrusted);
  void append(const Text& text) { append(text, 0, text.bytes.size()); }
  // The bytes [begin, end) of `text`, with their marks.
  void append(const Text& text, size_t begin, size_t end);

  size_t size() const { return text_.bytes.size(); }
  Result<TextPtr> finish();
  Result<Text> finish_text();

 private:
  void mark(size_t begin);

  Budget* budget_;
  Text text_;
  bool full_ = false;
};

}  // namespace hachi::chat::jinja
