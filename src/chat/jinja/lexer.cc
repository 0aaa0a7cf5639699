#include "chat/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "chat/jinja/literals.h"
#include "chat/jinja/text_ops.h"
#include "core/utf8.h"

namespace hachi::chat::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_char(char c) { return is_name_start(c) || is_digit(c); }

// Longest first.
constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "(",  ")",  "[",  "]", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

// \r\n and \r become \n; one newline at the very end goes.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  Result<std::vector<Token>> run();

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool next_is(std::string_view text) const { return rest().substr(0, text.size()) == text; }
  void advance(size_t bytes);
  void skip_space();
  void add(TokenKind kind, std::string text = {});
  // Advances over a closing delimiter such as "-%}"; false if none is next.
  bool take_close(std::string_view close, bool trims_newline);
  std::string_view take_sign();
  void add_text(std::string_view text, std::string_view sign, bool is_variable);
  Result<void> comment();
  // Takes "raw %}…{% endraw %}" if that is what follows "{%".
  Result<bool> raw_block();
  Result<void> tag(bool is_variable);
  Result<void> token(std::string& brackets);
  Result<void> number();
  Result<void> string();
  Result<void> operation(std::string& brackets);

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool at_line_start_ = true;  // nothing but a newline has been taken since the line began
  std::vector<Token> tokens_;
};

void Lexer::advance(size_t bytes) {
  const std::string_view taken = rest().substr(0, bytes);
  line_ += static_cast<int>(std::count(taken.begin(), taken.end(), '\n'));
  if (!taken.empty()) at_line_start_ = taken.back() == '\n';
  at_ += bytes;
}

void Lexer::skip_space() { advance(rest().size() - strip_left(rest()).size()); }

void Lexer::add(TokenKind kind, std::string text) {
  tokens_.push_back({kind, line_, std::move(text)});
}

bool Lexer::take_close(std::string_view close, bool trims_newline) {
  if (next_is("-") && rest().substr(1, close.size()) == close) {
    advance(1 + close.size());
    skip_space();
    return true;
  }
  if (trims_newline && next_is("+") && rest().substr(1, close.size()) == close) {
    advance(1 + close.size());
    return true;
  }
  if (!next_is(close)) return false;
  advance(close.size());
  if (trims_newline && next_is("\n")) advance(1);
  return true;
}

std::string_view Lexer::take_sign() {
  if (!next_is("-") && !next_is("+")) return {};
  const std::string_view sign = rest().substr(0, 1);
  advance(1);
  return sign;
}

// `text` stands before a tag that opens with `sign`.
void Lexer::add_text(std::string_view text, std::string_view sign, bool is_variable) {
  if (sign == "-") {
    text = strip_right(text);
  } else if (sign.empty() && !is_variable) {
    const size_t newline = text.rfind('\n');
    const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    const bool begins_line = begin > 0 || at_line_start_;
    if (begins_line && strip_left(text.substr(begin)).empty()) text = text.substr(0, begin);
  }
  if (!text.empty()) add(TokenKind::kText, std::string(text));
}

Result<void> Lexer::comment() {
  const size_t end = rest().find("#}");
  if (end == std::string_view::npos) {
    return fail(Code::kInvalidArgument, "line {}: the comment has no end (\"#}}\")", line_);
  }
  const bool signed_end = end > 0 && (rest()[end - 1] == '-' || rest()[end - 1] == '+');
  advance(signed_end ? end - 1 : end);
  take_close("#}", true);
  return {};
}

Result<bool> Lexer::raw_block() {
  std::string_view after = strip_left(rest());
  if (after.substr(0, 3) != "raw") return false;
  after = strip_left(after.substr(3));
  if (after.substr(0, 2) != "%}" && after.substr(0, 3) != "-%}") return false;
  advance(rest().size() - after.size());
  take_close("%}", false);

  const size_t begin = at_;
  const bool at_line_start = at_line_start_;
  for (;;) {
    const size_t tag = rest().find("{%");
    if (tag == std::string_view::npos) break;
    const size_t text_end = at_ + tag;
    advance(tag + 2);
    const std::string_view sign = take_sign();
    skip_space();
    if (!next_is("endraw")) continue;
    advance(6);
    skip_space();
    if (!take_close("%}", true)) continue;
    const bool ends_at_line_start = std::exchange(at_line_start_, at_line_start);
    add_text(std::string_view(source_).substr(begin, text_end - begin), sign, false);
    at_line_start_ = ends_at_line_start;
    return true;
  }
  return fail(Code::kInvalidArgument, "line {}: the raw block has no end (\"{{% endraw %}}\")",
              line_);
}

Result<void> Lexer::number() {
  const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';  // "list.0.1" has no float in it
  const NumberLiteral literal = scan_number(rest(), !after_dot);
  if (!literal.valid) {
    return fail(Code::kInvalidArgument, "line {}: the number \"{}\" is wrong or too large", line_,
                rest().substr(0, literal.length));
  }
  tokens_.push_back({literal.is_float ? TokenKind::kFloat : TokenKind::kInteger, line_,
                     std::string(rest().substr(0, literal.length)), literal.integer,
                     literal.number});
  advance(literal.length);
  return {};
}

Result<void> Lexer::string() {
  const char quote = rest()[0];
  size_t end = 1;
  while (end < rest().size() && rest()[end] != quote) end += rest()[end] == '\\' ? 2 : 1;
  if (end >= rest().size()) {
    return fail(Code::kInvalidArgument, "line {}: the string has no end", line_);
  }
  auto text = unescape(rest().substr(1, end - 1));
  if (!text) {
    return fail(Code::kInvalidArgument, "line {}: {}", line_, text.error().message);
  }
  add(TokenKind::kString, *std::move(text));
  advance(end + 1);
  return {};
}

// `brackets` are the closing ones still to come: within them "}}" is not the end of the tag.
Result<void> Lexer::operation(std::string& brackets) {
  for (const std::string_view op : kOperators) {
    if (!next_is(op)) continue;
    const char c = op[0];
    if (c == '(' || c == '[' || c == '{') {
      brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty() || brackets.back() != c) {
        return fail(Code::kInvalidArgument, "line {}: unexpected \"{}\"", line_, c);
      }
      brackets.pop_back();
    }
    add(TokenKind::kOperator, std::string(op));
    advance(op.size());
    return {};
  }
  const Utf8Char c = decode_utf8(rest());
  return fail(Code::kInvalidArgument, "line {}: unexpected character \"{}\"", line_,
              rest().substr(0, c.length));
}

Result<void> Lexer::token(std::string& brackets) {
  const char c = rest()[0];
  if (is_name_start(c)) {
    size_t end = 1;
    while (end < rest().size() && is_name_char(rest()[end])) ++end;
    add(TokenKind::kName, std::string(rest().substr(0, end)));
    advance(end);
    return {};
  }
  if (is_digit(c)) return number();
  if (c == '\'' || c == '"') return string();
  return operation(brackets);
}

Result<void> Lexer::tag(bool is_variable) {
  const int first_line = line_;
  add(is_variable ? TokenKind::kVariableBegin : TokenKind::kBlockBegin);
  std::string brackets;
  for (;;) {
    skip_space();
    if (brackets.empty() && take_close(is_variable ? "}}" : "%}", !is_variable)) break;
    if (rest().empty()) {
      return fail(Code::kInvalidArgument, "line {}: the tag has no end", first_line);
    }
    TRY(token(brackets));
  }
  add(is_variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd);
  return {};
}

Result<std::vector<Token>> Lexer::run() {
  while (!rest().empty()) {
    size_t begin = 0;
    do {
      begin = rest().find('{', begin);
      if (begin == std::string_view::npos) break;
      const char c = begin + 1 < rest().size() ? rest()[begin + 1] : '\0';
      if (c == '{' || c == '%' || c == '#') break;
    } while (++begin);
    if (begin == std::string_view::npos) {
      add(TokenKind::kText, std::string(rest()));
      advance(rest().size());
      break;
    }
    const char opener = rest()[begin + 1];
    const std::string_view text = rest().substr(0, begin);
    const size_t sign_at = at_ + begin + 2;
    const bool has_sign =
        sign_at < source_.size() && (source_[sign_at] == '-' || source_[sign_at] == '+');
    // A "-" right before "#}" belongs to the end of an empty comment as well; either reading
    // strips nothing twice.
    add_text(text, std::string_view(source_).substr(sign_at, has_sign ? 1 : 0), opener == '{');
    advance(begin + 2 + (has_sign ? 1 : 0));
    if (opener == '#') {
      TRY(comment());
    } else if (opener == '{') {
      TRY(tag(true));
    } else {
      TRY(const bool raw, raw_block());
      if (!raw) {
        TRY(tag(false));
      }
    }
  }
  add(TokenKind::kEnd);
  return std::move(tokens_);
}

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return fail(Code::kLimit, "a template of {} bytes is above the limit of {}", source.size(),
                kMaxSourceBytes);
  }
  if (!is_utf8(source)) {
    return fail(Code::kInvalidArgument, "the template is not valid UTF-8");
  }
  return Lexer(source).run();
}

}  // namespace hachi::chat::jinja
