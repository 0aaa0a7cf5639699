// Global functions, and the methods of dicts, lists and the loop variable.
#include <iterator>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/selection.h"

namespace hachi::chat::jinja {
namespace {

// As the sandbox of the reference has it.
constexpr int64_t kMaxRange = 100'000;

Result<Value> range(Runtime& runtime, const Value&, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"start", "stop", "step"}));
  TRY(int64_t start, integer_or(bound[0], 0, "range"));
  TRY(int64_t stop, integer_or(bound[1], 0, "range"));
  TRY(const int64_t step, integer_or(bound[2], 1, "range"));
  if (!bound[1]) stop = std::exchange(start, 0);
  if (step == 0) return fail(Code::kInvalidArgument, "the step of range is 0");
  std::vector<Value> items;
  for (int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (static_cast<int64_t>(items.size()) >= kMaxRange) {
      return fail(Code::kLimit, "a range has more than {} elements", kMaxRange);
    }
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  TRY(runtime.budget.spend_steps(items.size() / 4));
  return list_value(runtime.budget, std::move(items));
}

// dict(mapping, name=value, ...)
Result<Dict> dict_of(Runtime& runtime, const Arguments& arguments) {
  Dict out;
  if (arguments.positional.size() > 1) {
    return fail(Code::kInvalidArgument, "{} takes at most one mapping", arguments.callee);
  }
  if (!arguments.positional.empty()) {
    const Dict* from = arguments.positional[0].dict();
    if (!from) {
      return fail(Code::kInvalidArgument, "{} needs a mapping, got {}", arguments.callee,
                  arguments.positional[0].kind());
    }
    TRY(runtime.budget.spend_steps(from->entries.size() / 4));
    out.entries = from->entries;
  }
  for (const auto& [name, value] : arguments.named) {
    TRY(insert(runtime.budget, out, text_value(std::string(name)), value));
  }
  return out;
}

Result<Value> dict(Runtime& runtime, const Value&, const Arguments& arguments) {
  TRY(Dict made, dict_of(runtime, arguments));
  return dict_value(runtime.budget, std::move(made));
}

Result<Value> make_namespace(Runtime& runtime, const Value&, const Arguments& arguments) {
  TRY(Dict made, dict_of(runtime, arguments));
  auto space = std::make_unique<Namespace>();
  TRY(runtime.budget.spend_bytes(sizeof(Namespace) + made.entries.size() * sizeof(Value)));
  for (auto& [key, value] : made.entries) {
    TRY(const TextPtr name, to_text(runtime.budget, key));
    space->attributes.emplace_back(name->bytes, std::move(value));
  }
  runtime.namespaces.push_back(std::move(space));
  return Value(runtime.namespaces.back().get());
}

Result<Value> raise_exception(Runtime& runtime, const Value&, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"message"}));
  TRY(const TextPtr message, to_text(runtime.budget, *bound[0]));
  return fail(Code::kInvalidArgument, "{}", message->bytes);
}

// strftime one conversion at a time, of a fixed set: the C library's may have widths, which make
// it write as much as they say.
Result<Value> strftime_now(Runtime& runtime, const Value&, const Arguments& arguments) {
  constexpr std::string_view kConversions = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%";
  TRY(const auto bound, bind(arguments, 1, {"format"}));
  TRY(const Text* format, require_text(bound[0], "strftime_now"));
  const std::string_view text = format->bytes;
  TRY(runtime.budget.spend_steps(text.size()));
  TextBuilder out(runtime.budget);
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out.append(text.substr(at, 1));
      continue;
    }
    const bool unpadded = at + 1 < text.size() && text[at + 1] == '-';
    at += unpadded ? 2 : 1;
    if (at >= text.size() || kConversions.find(text[at]) == std::string_view::npos) {
      return fail(Code::kUnsupported, "strftime_now does not know the format \"{}\"", text);
    }
    const std::string conversion = fmt::format("%{}{}", unpadded ? "-" : "", text[at]);
    char buffer[128];
    out.append({buffer, std::strftime(buffer, sizeof(buffer), conversion.c_str(), &runtime.now)});
  }
  return text_value(out.finish());
}

Result<Value> dict_items(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  return pairs_value(runtime.budget, *self.dict(), ListKind::kList);
}

Result<Value> dict_keys(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  TRY(const ListPtr keys, elements(runtime.budget, self));
  return Value(keys);
}

Result<Value> dict_values(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, 0, {}));
  std::vector<Value> values;
  TRY(runtime.budget.spend_steps(self.dict()->entries.size() / 4));
  for (const auto& entry : self.dict()->entries) values.push_back(entry.second);
  return list_value(runtime.budget, std::move(values));
}

Result<Value> dict_get(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"key", "default"}));
  TRY(const Value* found, find(runtime.budget, *self.dict(), *bound[0]));
  if (found) return *found;
  return bound[1] ? *bound[1] : Value(None{});
}

Result<Value> list_count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"value"}));
  int64_t count = 0;
  for (const Value& item : self.list()->items) {
    TRY(const bool same, equal(runtime.budget, item, *bound[0]));
    count += same ? 1 : 0;
  }
  return Value(count);
}

Result<Value> list_index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(const auto bound, bind(arguments, 1, {"value"}));
  const std::vector<Value>& items = self.list()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    TRY(const bool same, equal(runtime.budget, items[i], *bound[0]));
    if (same) return Value(static_cast<int64_t>(i));
  }
  return fail(Code::kInvalidArgument, "index found no such element in the list");
}

Result<Value> changes_value(Runtime&, const Value& self, const Arguments& arguments) {
  return fail(Code::kUnsupported,
              "{} would change {}, which templates may not do; build a new one instead",
              arguments.callee, self.kind());
}

Result<Value> loop_cycle(Runtime&, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty()) {
    return fail(Code::kInvalidArgument, "loop.cycle needs the values to go through");
  }
  const Loop& loop = **self.get<LoopPtr>();
  return arguments.positional[loop.index0 % arguments.positional.size()];
}

constexpr NamedBuiltin kFunctions[] = {
    {"range", range},
    {"dict", dict},
    {"namespace", make_namespace},
    {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
};
constexpr NamedBuiltin kDictMethods[] = {
    {"items", dict_items},     {"keys", dict_keys},           {"values", dict_values},
    {"get", dict_get},         {"pop", changes_value},        {"popitem", changes_value},
    {"update", changes_value}, {"setdefault", changes_value}, {"clear", changes_value},
};
constexpr NamedBuiltin kListMethods[] = {
    {"count", list_count},     {"index", list_index},     {"append", changes_value},
    {"extend", changes_value}, {"insert", changes_value}, {"pop", changes_value},
    {"remove", changes_value}, {"sort", changes_value},   {"reverse", changes_value},
    {"clear", changes_value},
};
constexpr NamedBuiltin kLoopMethods[] = {{"cycle", loop_cycle}};

}  // namespace

Builtin find_function(std::string_view name) {
  const NamedBuiltin* found = BuiltinTable{std::begin(kFunctions), std::end(kFunctions)}.find(name);
  return found ? found->function : nullptr;
}

const NamedBuiltin* find_method(const Value& self, std::string_view name) {
  if (self.text()) return text_methods().find(name);
  if (self.dict()) return BuiltinTable{std::begin(kDictMethods), std::end(kDictMethods)}.find(name);
  if (self.list()) return BuiltinTable{std::begin(kListMethods), std::end(kListMethods)}.find(name);
  if (self.is<LoopPtr>()) {
    return BuiltinTable{std::begin(kLoopMethods), std::end(kLoopMethods)}.find(name);
  }
  return nullptr;
}

}  // namespace hachi::chat::jinja
