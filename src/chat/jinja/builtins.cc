#include "chat/jinja/builtins.h"

#include <algorithm>
#include <iterator>

namespace hachi::chat::jinja {

const NamedBuiltin* BuiltinTable::find(std::string_view name) const {
  const auto* const found =
      std::find_if(begin, end, [&](const NamedBuiltin& entry) { return entry.name == name; });
  return found == end ? nullptr : found;
}

Builtin find_filter(std::string_view name) {
  for (const BuiltinTable& table :
       {text_filters(), sequence_filters(), selection_filters(), number_filters()}) {
    if (const NamedBuiltin* found = table.find(name)) return found->function;
  }
  return nullptr;
}

Result<BoundArguments> bind(const Arguments& arguments, size_t num_required,
                            std::initializer_list<std::string_view> names) {
  BoundArguments out = {};
  if (arguments.positional.size() > names.size()) {
    return fail(Code::kInvalidArgument, "{} takes at most {} arguments, got {}", arguments.callee,
                names.size(), arguments.positional.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) out[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto* const found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      return fail(Code::kInvalidArgument, "{} has no argument \"{}\"", arguments.callee, name);
    }
    const auto index = static_cast<size_t>(found - names.begin());
    if (out[index]) {
      return fail(Code::kInvalidArgument, "{} got its argument \"{}\" twice", arguments.callee,
                  name);
    }
    out[index] = &value;
  }
  for (size_t i = 0; i < num_required; ++i) {
    if (!out[i]) {
      return fail(Code::kInvalidArgument, "{} needs its argument \"{}\"", arguments.callee,
                  names.begin()[i]);
    }
  }
  return out;
}

Result<int64_t> integer_or(const Value* value, int64_t otherwise, std::string_view what) {
  if (!value || value->is<None>()) return otherwise;
  TRY(require_defined(*value));
  int64_t room = 0;
  if (const int64_t* integer = value->integer(room)) return *integer;
  return fail(Code::kInvalidArgument, "{} needs an integer, got {}", what, value->kind());
}

bool truth_or(const Value* value, bool otherwise) { return value ? value->truth() : otherwise; }

Result<const Text*> require_text(const Value* value, std::string_view what) {
  if (value) {
    TRY(require_defined(*value));
    if (const Text* text = value->text()) return text;
  }
  return fail(Code::kInvalidArgument, "{} needs a string, got {}", what,
              value ? value->kind() : "nothing");
}

Result<Value> texts_value(Budget& budget, std::vector<TextPtr> pieces) {
  TRY(budget.spend_steps(pieces.size() / 4));
  std::vector<Value> items(std::make_move_iterator(pieces.begin()),
                           std::make_move_iterator(pieces.end()));
  return list_value(budget, std::move(items));
}

}  // namespace hachi::chat::jinja
