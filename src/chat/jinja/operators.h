// What operators, subscripts and slices do to values, as in Python.
#pragma once

#include <optional>
#include <string_view>

#include "chat/jinja/ast.h"
#include "chat/jinja/value.h"

namespace hachi::chat::jinja {

Result<Value> apply(Budget& budget, BinaryOp op, const Value& left, const Value& right);
Result<Value> negate(const Value& value, UnaryOp op);
Result<bool> compare(Budget& budget, CompareOp op, const Value& left, const Value& right);
// Python's `item in container`.
Result<bool> contains(Budget& budget, const Value& container, const Value& item);

// object.name: a method or property first, then an entry. Undefined if there is neither; fails if
// the object itself is undefined.
Result<Value> get_attribute(Budget& budget, const Value& object, std::string_view name);
// object[index]: an entry or element first, then a method or property.
Result<Value> get_item(Budget& budget, const Value& object, const Value& index);
// object[start:stop:step]; a bound that is none is left out.
Result<Value> get_slice(Budget& budget, const Value& object, const Value& start, const Value& stop,
                        const Value& step);

}  // namespace hachi::chat::jinja
