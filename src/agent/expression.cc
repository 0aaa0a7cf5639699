#include "agent/expression.h"

#include <charconv>
#include <vector>

#include "agent/number_functions.h"
#include "formats/printable.h"

namespace hachi::agent {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Number> run() {
    TRY(const Number value, sum());
    skip_spaces();
    if (at_ < text_.size()) return unexpected("an operator");
    return value;
  }

 private:
  // One more level of recursion for one scope.
  class Level {
   public:
    explicit Level(int& depth) : depth_(++depth) {}
    ~Level() { --depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    int& depth_;
  };

  Result<Number> sum() {
    TRY(Number value, product());
    while (true) {
      const bool is_plus = take("+");
      if (!is_plus && !take("-")) return value;
      TRY(const Number next, product());
      TRY(value, checked(is_plus ? add(value, next) : subtract(value, next)));
    }
  }

  Result<Number> product() {
    TRY(Number value, signed_number());
    while (true) {
      if (take("//")) {
        TRY(const Number next, signed_number());
        TRY(value, floor_divide(value, next));
      } else if (take("/")) {
        TRY(const Number next, signed_number());
        TRY(value, divide(value, next));
      } else if (take("%")) {
        TRY(const Number next, signed_number());
        TRY(value, modulo(value, next));
      } else if (take("*")) {  // ** was taken by power()
        TRY(const Number next, signed_number());
        TRY(value, checked(multiply(value, next)));
      } else {
        return value;
      }
    }
  }

  // All recursion goes through here.
  Result<Number> signed_number() {
    const Level level(depth_);
    if (depth_ > kMaxExpressionDepth) {
      return fail(Code::kLimit, "the expression is nested deeper than {} levels",
                  kMaxExpressionDepth);
    }
    if (take("+")) return signed_number();
    if (!take("-")) return power_of();
    TRY(const Number value, signed_number());
    return negate(value);
  }

  Result<Number> power_of() {
    TRY(const Number base, atom());
    if (!take("^") && !take("**")) return base;
    TRY(const Number exponent, signed_number());
    return power(base, exponent);
  }

  Result<Number> atom() {
    skip_spaces();
    if (at_ < text_.size() && is_letter(text_[at_])) return named();
    if (at_ < text_.size() && (is_digit(text_[at_]) || text_[at_] == '.')) return literal();
    if (!take("(")) return unexpected("a number");
    TRY(const Number value, sum());
    if (!take(")")) return unexpected("a ')'");
    return value;
  }

  Result<Number> named() {
    const size_t begin = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    const std::string_view name = text_.substr(begin, at_ - begin);
    if (!take("(")) return constant(name);
    std::vector<Number> arguments;
    if (!take(")")) {
      do {
        TRY(const Number argument, sum());
        arguments.push_back(argument);
      } while (take(","));
      if (!take(")")) return unexpected("a ')'");
    }
    return call_function(name, arguments);
  }

  // Digits alone are an integer, if they fit; with a point or an exponent they are a double.
  Result<Number> literal() {
    const size_t begin = at_;
    Int128 integer = 0;
    bool is_integer = true;
    for (; at_ < text_.size() && is_digit(text_[at_]); ++at_) {
      is_integer = is_integer && !__builtin_mul_overflow(integer, Int128{10}, &integer) &&
                   !__builtin_add_overflow(integer, Int128{text_[at_] - '0'}, &integer);
    }
    double value = 0;
    const char* const first = text_.data() + begin;
    const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), value);
    const auto length = static_cast<size_t>(end - first);
    if (error == std::errc::invalid_argument) return unexpected("a number");
    if (error != std::errc()) {
      return fail(Code::kInvalidArgument, "{} does not fit a double",
                  formats::printable(text_.substr(begin, length)));
    }
    const bool is_digits = begin + length == at_;
    at_ = begin + length;
    return is_digits && is_integer ? Number(integer) : Number(value);
  }

  static Result<Number> checked(const Number& value) {
    if (if_integer(value) != nullptr) return value;
    return finite(to_double(value), "a result");
  }

  void skip_spaces() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }

  bool take(std::string_view token) {
    skip_spaces();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }

  tl::unexpected<Error> unexpected(std::string_view wanted) {
    skip_spaces();
    if (at_ == text_.size()) {
      return fail(Code::kInvalidArgument, "{} is missing at the end of the expression", wanted);
    }
    return fail(Code::kInvalidArgument, "{} is missing at character {}, before {}", wanted, at_ + 1,
                formats::printable(text_.substr(at_)));
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Result<Number> evaluate(std::string_view text) {
  if (text.size() > kMaxExpressionBytes) {
    return fail(Code::kLimit, "the expression has {} bytes, more than the {} allowed", text.size(),
                kMaxExpressionBytes);
  }
  return Parser(text).run();
}

}  // namespace hachi::agent
