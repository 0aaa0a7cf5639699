// Tests: what stands behind "is". Each gives a boolean.
#include <iterator>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"

namespace hachi::chat::jinja {
namespace {

// A test without arguments that only looks at the value.
template <bool (*holds)(const Value&)>
Result<Value> plain(Runtime&, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  return Value(holds(self));
}

bool is_defined(const Value& v) { return !v.is<Undefined>(); }
bool is_undefined(const Value& v) { return v.is<Undefined>(); }
bool is_none(const Value& v) { return v.is<None>(); }
bool is_string(const Value& v) { return v.text() != nullptr; }
bool is_number(const Value& v) { return v.is_number(); }
bool is_integer(const Value& v) { return v.is<int64_t>(); }
bool is_float(const Value& v) { return v.is<double>(); }
bool is_boolean(const Value& v) { return v.is<bool>(); }
bool is_true(const Value& v) { return v.is<bool>() && v.truth(); }
bool is_false(const Value& v) { return v.is<bool>() && !v.truth(); }
bool is_mapping(const Value& v) { return v.dict() != nullptr; }

// Undefined counts in these, as in the reference, whose undefined value has all the methods.
bool is_callable(const Value& v) { return v.is<FunctionPtr>() || v.is<Undefined>(); }
bool is_iterable(const Value& v) {
  return v.text() || v.list() || v.dict() || v.is<Undefined>() || v.is<LoopPtr>();
}
bool is_sequence(const Value& v) {
  if (const List* list = v.list()) return list->kind != ListKind::kStream;
  return v.text() || v.dict() || v.is<Undefined>();
}

template <CompareOp op>
Result<Value> compares(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"other"}));
  TRY(const bool holds, compare(runtime.budget, op, self, *bound[0]));
  return Value(holds);
}

Result<Value> same_as(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"other"}));
  const bool same_kind = self.kind() == bound[0]->kind();
  TRY(const bool same, equal(runtime.budget, self, *bound[0]));
  return Value(same_kind && same);
}

Result<bool> divides(Budget& budget, const Value& self, const Value& divisor) {
  TRY(const Value remainder, apply(budget, BinaryOp::kModulo, self, divisor));
  return remainder.is_number() && remainder.number() == 0;
}

Result<Value> even(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  TRY(const bool holds, divides(runtime.budget, self, Value(int64_t{2})));
  return Value(holds);
}

Result<Value> odd(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  TRY(const Value remainder, apply(runtime.budget, BinaryOp::kModulo, self, Value(int64_t{2})));
  return Value(remainder.is_number() && remainder.number() == 1);
}

Result<Value> divisible_by(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"num"}));
  TRY(const bool holds, divides(runtime.budget, self, *bound[0]));
  return Value(holds);
}

// "lower" and "upper": whether the text has letters and all of them are of that case.
template <bool wants_upper>
Result<Value> has_case(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const TextPtr text, to_text(runtime.budget, self));
  const NamedBuiltin* method = text_methods().find(wants_upper ? "isupper" : "islower");
  return method->function(runtime, Value(text), arguments);
}

constexpr NamedBuiltin kTests[] = {
    {"defined", plain<is_defined>},
    {"undefined", plain<is_undefined>},
    {"none", plain<is_none>},
    {"string", plain<is_string>},
    {"number", plain<is_number>},
    {"integer", plain<is_integer>},
    {"float", plain<is_float>},
    {"boolean", plain<is_boolean>},
    {"true", plain<is_true>},
    {"false", plain<is_false>},
    {"mapping", plain<is_mapping>},
    {"iterable", plain<is_iterable>},
    {"sequence", plain<is_sequence>},
    {"callable", plain<is_callable>},
    {"odd", odd},
    {"even", even},
    {"divisibleby", divisible_by},
    {"lower", has_case<false>},
    {"upper", has_case<true>},
    {"sameas", same_as},
    {"in", compares<CompareOp::kIn>},
    {"eq", compares<CompareOp::kEqual>},
    {"equalto", compares<CompareOp::kEqual>},
    {"==", compares<CompareOp::kEqual>},
    {"ne", compares<CompareOp::kNotEqual>},
    {"!=", compares<CompareOp::kNotEqual>},
    {"lt", compares<CompareOp::kLess>},
    {"lessthan", compares<CompareOp::kLess>},
    {"<", compares<CompareOp::kLess>},
    {"le", compares<CompareOp::kLessEqual>},
    {"<=", compares<CompareOp::kLessEqual>},
    {"gt", compares<CompareOp::kGreater>},
    {"greaterthan", compares<CompareOp::kGreater>},
    {">", compares<CompareOp::kGreater>},
    {"ge", compares<CompareOp::kGreaterEqual>},
    {">=", compares<CompareOp::kGreaterEqual>},
};

}  // namespace

Builtin find_test(std::string_view name) {
  const NamedBuiltin* found = BuiltinTable{std::begin(kTests), std::end(kTests)}.find(name);
  return found ? found->function : nullptr;
}

}  // namespace hachi::chat::jinja
