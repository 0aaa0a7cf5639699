#include "chat/jinja/operators.h"

#include <cmath>

#include "chat/jinja/text_ops.h"

namespace hachi::chat::jinja {
namespace {

constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};

tl::unexpected<Error> no_such(BinaryOp op, const Value& left, const Value& right) {
  return fail(Code::kInvalidArgument, "cannot compute {} {} {}", left.kind(),
              kSymbols[static_cast<size_t>(op)], right.kind());
}

tl::unexpected<Error> out_of_range() {
  return fail(Code::kLimit, "an integer leaves the range of 64 bits");
}

tl::unexpected<Error> division_by_zero() {
  return fail(Code::kInvalidArgument, "division by zero");
}

Result<Value> integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return division_by_zero();
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t out = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(out, base, &out)) return out_of_range();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return out_of_range();
  }
  return Value(out);
}

Result<Value> integers(BinaryOp op, int64_t a, int64_t b) {
  const bool divides =
      op == BinaryOp::kDivide || op == BinaryOp::kFloorDivide || op == BinaryOp::kModulo;
  if (divides && b == 0) return division_by_zero();
  // The one division that overflows. Its remainder does not, but is computed with it.
  if (divides && b == -1 && a == INT64_MIN && op != BinaryOp::kDivide) return out_of_range();
  int64_t out = 0;
  bool overflow = false;
  switch (op) {
    case BinaryOp::kAdd:
      overflow = __builtin_add_overflow(a, b, &out);
      break;
    case BinaryOp::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &out);
      break;
    case BinaryOp::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &out);
      break;
    case BinaryOp::kDivide:
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case BinaryOp::kFloorDivide:
      out = a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
      break;
    case BinaryOp::kModulo:
      out = a % b;
      if (out != 0 && (out < 0) != (b < 0)) out += b;
      break;
    case BinaryOp::kPower:
      return integer_power(a, b);
  }
  if (overflow) return out_of_range();
  return Value(out);
}

Result<Value> floats(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return Value(a + b);
    case BinaryOp::kSubtract:
      return Value(a - b);
    case BinaryOp::kMultiply:
      return Value(a * b);
    case BinaryOp::kPower:
      if (a == 0 && b < 0) return division_by_zero();
      return Value(std::pow(a, b));
    case BinaryOp::kDivide:
      if (b == 0) return division_by_zero();
      return Value(a / b);
    case BinaryOp::kFloorDivide:
    case BinaryOp::kModulo:
      break;
  }
  if (b == 0) return division_by_zero();
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  if (op == BinaryOp::kModulo) return Value(remainder);
  return Value(std::round((a - remainder) / b));
}

Result<Value> join_lists(Budget& budget, const List& a, const List& b) {
  TRY(budget.spend_steps((a.items.size() + b.items.size()) / 4));
  std::vector<Value> items(a.items);
  items.insert(items.end(), b.items.begin(), b.items.end());
  return list_value(budget, std::move(items), a.kind);
}

Result<Value> repeat_list(Budget& budget, const List& list, int64_t times) {
  std::vector<Value> items;
  if (times > 0 && !list.items.empty()) {
    if (static_cast<uint64_t>(times) > kMaxBytes / list.items.size()) {
      return Budget::too_much_text();
    }
    const uint64_t count = static_cast<uint64_t>(times) * list.items.size();
    TRY(budget.spend_steps(count));
    items.reserve(count);
    for (int64_t i = 0; i < times; ++i) {
      items.insert(items.end(), list.items.begin(), list.items.end());
    }
  }
  return list_value(budget, std::move(items), list.kind);
}

// A string or list times a count; nothing if it is not that.
Result<std::optional<Value>> repeated(Budget& budget, const Value& value, const Value& count) {
  int64_t room = 0;
  const int64_t* times = count.integer(room);
  if (!times) return std::nullopt;
  if (const Text* text = value.text()) {
    TRY(TextPtr made, repeat(budget, *text, *times));
    return std::optional<Value>(std::move(made));
  }
  const List* list = value.list();
  if (!list || list->kind == ListKind::kStream) return std::nullopt;
  TRY(Value made, repeat_list(budget, *list, *times));
  return std::optional<Value>(std::move(made));
}

}  // namespace

Result<Value> apply(Budget& budget, BinaryOp op, const Value& left, const Value& right) {
  TRY(require_defined(left));
  TRY(require_defined(right));
  if (left.is_number() && right.is_number()) {
    int64_t room_a = 0;
    int64_t room_b = 0;
    const int64_t* a = left.integer(room_a);
    const int64_t* b = right.integer(room_b);
    if (a && b) return integers(op, *a, *b);
    return floats(op, left.number(), right.number());
  }
  if (op == BinaryOp::kAdd) {
    if (left.text() && right.text()) {
      TRY(TextPtr sum, concat(budget, *left.text(), *right.text()));
      return Value(std::move(sum));
    }
    const List* a = left.list();
    const List* b = right.list();
    if (a && b && a->kind == b->kind && a->kind != ListKind::kStream) {
      return join_lists(budget, *a, *b);
    }
  }
  if (op == BinaryOp::kMultiply) {
    TRY(std::optional<Value> product, repeated(budget, left, right));
    if (!product) {
      TRY(product, repeated(budget, right, left));
    }
    if (product) return *std::move(product);
  }
  return no_such(op, left, right);
}

Result<Value> negate(const Value& value, UnaryOp op) {
  TRY(require_defined(value));
  int64_t room = 0;
  if (const int64_t* integer = value.integer(room)) {
    return op == UnaryOp::kPlus ? Result<Value>(Value(*integer))
                                : integers(BinaryOp::kSubtract, 0, *integer);
  }
  if (!value.is<double>()) {
    return fail(Code::kInvalidArgument, "{} has no sign", value.kind());
  }
  return Value(op == UnaryOp::kPlus ? value.number() : -value.number());
}

Result<bool> contains(Budget& budget, const Value& container, const Value& item) {
  if (const Text* text = container.text()) {
    TRY(require_defined(item));
    const Text* part = item.text();
    if (!part) {
      return fail(Code::kInvalidArgument, "{} cannot be in a string", item.kind());
    }
    TRY(budget.spend_reading(text->bytes.size() + part->bytes.size()));
    return find_bytes(text->bytes, part->bytes) != std::string_view::npos;
  }
  if (const Dict* dict = container.dict()) {
    TRY(const Value* found, find(budget, *dict, item));
    return found != nullptr;
  }
  if (const List* list = container.list()) {
    for (const Value& element : list->items) {
      TRY(const bool same, equal(budget, element, item));
      if (same) return true;
    }
    return false;
  }
  if (container.is<Undefined>()) return false;
  return fail(Code::kInvalidArgument, "{} has no elements for \"in\"", container.kind());
}

Result<bool> compare(Budget& budget, CompareOp op, const Value& left, const Value& right) {
  switch (op) {
    case CompareOp::kEqual:
      return equal(budget, left, right);
    case CompareOp::kNotEqual: {
      TRY(const bool same, equal(budget, left, right));
      return !same;
    }
    case CompareOp::kLess:
      return less(budget, left, right);
    case CompareOp::kGreater:
      return less(budget, right, left);
    case CompareOp::kLessEqual:
    case CompareOp::kGreaterEqual: {
      TRY(const bool below,
          op == CompareOp::kLessEqual ? less(budget, left, right) : less(budget, right, left));
      if (below) return true;
      return equal(budget, left, right);
    }
    case CompareOp::kIn:
      return contains(budget, right, left);
    case CompareOp::kNotIn: {
      TRY(const bool inside, contains(budget, right, left));
      return !inside;
    }
  }
  return false;
}

}  // namespace hachi::chat::jinja
