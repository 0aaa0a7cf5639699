// Filters that make or round numbers, and default.
#include <charconv>
#include <cmath>
#include <iterator>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/text_ops.h"

namespace hachi::chat::jinja {
namespace {

constexpr double kTwoTo63 = 9223372036854775808.0;

// The number that all of `text` is, white space around it aside; nothing if it is none.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  text = strip_left(strip_right(text));
  const bool has_plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  if (has_plus) text.remove_prefix(1);
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<Value> truncated(double number, const Value& otherwise) {
  if (std::isnan(number) || std::isinf(number)) return otherwise;
  if (number >= kTwoTo63 || number < -kTwoTo63) {
    return fail(Code::kLimit, "an integer leaves the range of 64 bits");
  }
  return Value(static_cast<int64_t>(number));
}

Result<Value> int_filter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"default"}));
  const Value otherwise = bound[0] ? *bound[0] : Value(int64_t{0});
  TRY(require_defined(self));
  int64_t room = 0;
  if (const int64_t* integer = self.integer(room)) return Value(*integer);
  if (self.is<double>()) return truncated(self.number(), otherwise);
  const Text* text = self.text();
  if (!text) return otherwise;
  TRY(runtime.budget.spend_reading(text->bytes.size()));
  if (const auto integer = parse_number<int64_t>(text->bytes)) return Value(*integer);
  if (const auto number = parse_number<double>(text->bytes)) return truncated(*number, otherwise);
  return otherwise;
}

Result<Value> float_filter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"default"}));
  const Value otherwise = bound[0] ? *bound[0] : Value(0.0);
  TRY(require_defined(self));
  if (self.is_number()) return Value(self.number());
  const Text* text = self.text();
  if (!text) return otherwise;
  TRY(runtime.budget.spend_reading(text->bytes.size()));
  const auto number = parse_number<double>(text->bytes);
  return number ? Value(*number) : otherwise;
}

Result<Value> abs_filter(Runtime&, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  TRY(require_defined(self));
  if (!self.is_number()) {
    return fail(Code::kInvalidArgument, "abs needs a number, got {}", self.kind());
  }
  return negate(self, self.number() < 0 ? UnaryOp::kMinus : UnaryOp::kPlus);
}

// To `precision` decimals, an exact half to the even digit, as Python's round().
double rounded(double number, int precision) {
  if (precision <= 0) {
    const double scale = std::pow(10.0, -precision);
    return std::nearbyint(number / scale) * scale;
  }
  const std::string digits = fmt::format("{:.{}f}", number, precision);
  return parse_number<double>(digits).value_or(number);
}

Result<Value> round_filter(Runtime&, const Value& self, const Arguments& arguments) {
  constexpr int64_t kMaxPrecision = 18;
  TRY(const auto bound, bind(arguments, 0, {"precision", "method"}));
  TRY(require_defined(self));
  if (!self.is_number()) {
    return fail(Code::kInvalidArgument, "round needs a number, got {}", self.kind());
  }
  TRY(const int64_t precision, integer_or(bound[0], 0, "round"));
  if (precision > kMaxPrecision || precision < -kMaxPrecision) {
    return fail(Code::kLimit, "round takes a precision of at most {}, got {}", kMaxPrecision,
                precision);
  }
  std::string_view method = "common";
  if (bound[1]) {
    TRY(const Text* text, require_text(bound[1], "round"));
    method = text->bytes;
  }
  if (method == "common") {
    if (!self.is<double>() && precision >= 0) return negate(self, UnaryOp::kPlus);
    return Value(rounded(self.number(), static_cast<int>(precision)));
  }
  if (method != "ceil" && method != "floor") {
    return fail(Code::kInvalidArgument,
                "round knows \"common\", \"ceil\" and \"floor\", not \"{}\"", method);
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = self.number() * scale;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Result<Value> default_filter(Runtime&, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 0, {"default_value", "boolean"}));
  const bool replaces = self.is<Undefined>() || (truth_or(bound[1], false) && !self.truth());
  if (!replaces) return self;
  return bound[0] ? *bound[0] : text_value("");
}

constexpr NamedBuiltin kFilters[] = {
    {"int", int_filter},     {"float", float_filter},     {"abs", abs_filter},
    {"round", round_filter}, {"default", default_filter}, {"d", default_filter},
};

}  // namespace

BuiltinTable number_filters() { return {std::begin(kFilters), std::end(kFilters)}; }

}  // namespace hachi::chat::jinja
