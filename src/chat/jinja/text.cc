#include "chat/jinja/text.h"

#include <algorithm>

namespace hachi::chat::jinja {
namespace {

// What an empty text costs beside its bytes: the object, its counts and the allocator's share.
constexpr size_t kTextOverhead = sizeof(Text) + 32;

}  // namespace

void TextBuilder::mark(size_t begin) {
  const size_t end = text_.bytes.size();
  if (!text_.untrusted.empty() && text_.untrusted.back().end == begin) {
    text_.untrusted.back().end = end;
    return;
  }
  full_ = full_ || !budget_->take_bytes(sizeof(TextRange));
  text_.untrusted.push_back({begin, end});
}

void TextBuilder::append(std::string_view bytes, Trust trust) {
  if (bytes.empty() || full_) return;
  if (!budget_->take_bytes(bytes.size())) {
    full_ = true;
    return;
  }
  const size_t begin = text_.bytes.size();
  text_.bytes.append(bytes);
  if (trust == Trust::kUntrusted) mark(begin);
}

void TextBuilder::append(const Text& text, size_t begin, size_t end) {
  const std::string_view bytes = text.bytes;
  auto range = std::lower_bound(text.untrusted.begin(), text.untrusted.end(), begin,
                                [](const TextRange& r, size_t at) { return r.end <= at; });
  while (begin < end && !full_) {
    const size_t marked =
        range == text.untrusted.end() ? end : std::clamp(range->begin, begin, end);
    append(bytes.substr(begin, marked - begin));
    if (marked == end) return;
    begin = std::min(range->end, end);
    append(bytes.substr(marked, begin - marked), Trust::kUntrusted);
    ++range;
  }
}

Result<Text> TextBuilder::finish_text() {
  if (full_ || !budget_->take_bytes(kTextOverhead)) return Budget::too_much_text();
  return std::move(text_);
}

Result<TextPtr> TextBuilder::finish() {
  TRY(Text text, finish_text());
  return std::make_shared<const Text>(std::move(text));
}

}  // namespace hachi::chat::jinja
