#include "tokenizer/normalizer.h"

#include <algorithm>

#include <utf8proc.h>

#include "core/check.h"
#include "core/utf8.h"

namespace hachi::tokenizer {
namespace {

void replace_all(std::string_view text, const Normalizer::Step& step, std::string& out) {
  out.clear();
  out.reserve(text.size() + text.size() / 2);
  size_t at = 0;
  for (size_t hit = text.find(step.pattern); hit != std::string_view::npos;
       hit = text.find(step.pattern, at)) {
    out.append(text, at, hit - at);
    out += step.content;
    at = hit + step.pattern.size();
  }
  out.append(text, at);
}

using CodePoints = std::vector<utf8proc_int32_t>;

// Appends the canonical decomposition of `c`.
void decompose(uint32_t c, CodePoints& out) {
  constexpr utf8proc_ssize_t kLongest = 32;  // the longest has 4 code points
  utf8proc_int32_t parts[kLongest];
  int boundary_class = 0;
  const utf8proc_ssize_t count = utf8proc_decompose_char(
      static_cast<utf8proc_int32_t>(c), parts, kLongest, UTF8PROC_DECOMPOSE, &boundary_class);
  CHECK(count >= 0 && count <= kLongest);
  out.insert(out.end(), parts, parts + count);
}

// True if normalizing leaves the character as it is and lets it join nothing that stands before it.
// Whatever does join is a mark, or a Hangul vowel or final consonant.
bool is_inert(uint32_t c, CodePoints& work) {
  if (c < 0x300) return true;
  if ((c >= 0x1161 && c <= 0x1175) || (c >= 0x11A8 && c <= 0x11C2)) return false;
  const bool hangul = c >= 0xAC00 && c <= 0xD7A3;
  const bool ideograph = c >= 0x3400 && c <= 0x9FFF;
  if (hangul || ideograph) return true;
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  if (category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
      category == UTF8PROC_CATEGORY_ME) {
    return false;
  }
  work.clear();
  decompose(c, work);
  return work.size() == 1 && work[0] == static_cast<utf8proc_int32_t>(c);
}

// Orders each run of marks by combining class, equal ones as they stood (Unicode, D109). utf8proc's
// own ordering takes quadratic time on long runs.
void order_marks(CodePoints& points) {
  const auto mark_class = [](utf8proc_int32_t c) {
    return utf8proc_get_property(c)->combining_class;
  };
  for (auto at = points.begin(); at != points.end();) {
    const auto end =
        std::find_if(at, points.end(), [&](utf8proc_int32_t c) { return mark_class(c) == 0; });
    std::stable_sort(at, end, [&](utf8proc_int32_t a, utf8proc_int32_t b) {
      return mark_class(a) < mark_class(b);
    });
    at = end == points.end() ? end : end + 1;
  }
}

void append_nfc(std::string_view text, CodePoints& points, std::string& out) {
  points.clear();
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(at));
    at += c.length;
    decompose(c.code_point, points);
  }
  order_marks(points);
  const utf8proc_ssize_t count =
      utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  CHECK_GE(count, 0);
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    append_utf8(out, static_cast<uint32_t>(points[static_cast<size_t>(i)]));
  }
}

}  // namespace

std::string_view Normalizer::apply(std::string_view text, std::string& buffer,
                                   std::string& other) const {
  // Each step reads `text` and writes into the buffer that it does not lie in.
  std::string* target = &buffer;
  std::string* spare = &other;
  for (const Step& step : steps_) {
    std::string_view result = text;
    switch (step.kind) {
      case Kind::kNfc:
        result = to_nfc(text, *target);
        break;
      case Kind::kPrepend:
        if (!text.empty()) result = *target = step.content + std::string(text);
        break;
      case Kind::kReplace:
        replace_all(text, step, *target);
        result = *target;
        break;
    }
    if (result.data() == target->data()) std::swap(target, spare);
    text = result;
  }
  return text;
}

std::string_view to_nfc(std::string_view text, std::string& buffer) {
  size_t copied = 0;      // text[0, copied) is in `buffer` already
  size_t last_inert = 0;  // where the last inert character before `at` begins
  bool changed = false;
  CodePoints work;
  for (size_t at = 0; at < text.size();) {
    if (static_cast<uint8_t>(text[at]) < 0x80) {
      last_inert = at++;
      continue;
    }
    Utf8Char c = decode_utf8(text.substr(at));
    if (is_inert(c.code_point, work)) {
      last_inert = at;
      at += c.length;
      continue;
    }
    // From the inert character before to the next one, the text is normalized on its own.
    if (!changed) buffer.clear();
    changed = true;
    const size_t begin = std::max(last_inert, copied);
    buffer.append(text, copied, begin - copied);
    while (at < text.size() && !is_inert((c = decode_utf8(text.substr(at))).code_point, work)) {
      at += c.length;
    }
    append_nfc(text.substr(begin, at - begin), work, buffer);
    copied = at;
  }
  if (!changed) return text;
  buffer.append(text, copied);
  return buffer;
}

}  // namespace hachi::tokenizer
