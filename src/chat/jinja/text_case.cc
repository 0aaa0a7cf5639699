// The operations of text_ops.h that go through a text character by character.
#include <utf8proc.h>

#include "chat/jinja/text_ops.h"
#include "core/utf8.h"

namespace hachi::chat::jinja {
namespace {

uint32_t to_upper(uint32_t c) {
  return static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}

uint32_t to_lower(uint32_t c) {
  return static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

bool is_letter(uint32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LT;
}

bool separates_words(uint32_t c) {
  return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
}

// Calls write(code point, out) for each character in order; what it appends takes over the mark.
template <class Write>
Result<TextPtr> rewrite(Budget& budget, const Text& text, Write write) {
  TRY(budget.spend_reading(text.bytes.size()));
  TextBuilder out(budget);
  for_each_run(text, [&](std::string_view run, Trust trust) {
    std::string written;
    written.reserve(run.size());
    while (!run.empty()) {
      const Utf8Char c = decode_utf8(run);
      write(c.code_point, written);
      run.remove_prefix(c.length);
    }
    out.append(written, trust);
  });
  return out.finish();
}

}  // namespace

Result<TextPtr> upper(Budget& budget, const Text& text) {
  return rewrite(budget, text, [](uint32_t c, std::string& out) { append_utf8(out, to_upper(c)); });
}

Result<TextPtr> lower(Budget& budget, const Text& text) {
  return rewrite(budget, text, [](uint32_t c, std::string& out) { append_utf8(out, to_lower(c)); });
}

Result<TextPtr> capitalize(Budget& budget, const Text& text) {
  bool first = true;
  return rewrite(budget, text, [first](uint32_t c, std::string& out) mutable {
    append_utf8(out, first ? to_upper(c) : to_lower(c));
    first = false;
  });
}

Result<TextPtr> title(Budget& budget, const Text& text, Words words) {
  bool begins = true;
  return rewrite(budget, text, [words, begins](uint32_t c, std::string& out) mutable {
    append_utf8(out, begins ? to_upper(c) : to_lower(c));
    begins = words == Words::kOfLetters ? !is_letter(c) : separates_words(c);
  });
}

Result<TextPtr> escape_html(Budget& budget, const Text& text) {
  return rewrite(budget, text, [](uint32_t c, std::string& out) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        append_utf8(out, c);
    }
  });
}

Result<TextPtr> reverse(Budget& budget, const Text& text) {
  TRY(budget.spend_steps(text.bytes.size()));
  TextBuilder out(budget);
  const std::string_view bytes = text.bytes;
  for (size_t end = bytes.size(); end > 0;) {
    size_t begin = end - 1;
    while (begin > 0 && (static_cast<uint8_t>(bytes[begin]) & 0xC0) == 0x80) --begin;
    out.append(text, begin, end);
    end = begin;
  }
  return out.finish();
}

}  // namespace hachi::chat::jinja
