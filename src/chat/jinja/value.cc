#include "chat/jinja/value.h"

#include <algorithm>
#include <cmath>

#include <utf8proc.h>

#include "core/utf8.h"

namespace hachi::chat::jinja {
namespace {

bool is_hashable(const Value& value) {
  if (value.is<DictPtr>()) return false;
  const List* list = value.list();
  if (!list) return true;
  return list->kind == ListKind::kTuple &&
         std::all_of(list->items.begin(), list->items.end(), is_hashable);
}

bool has_printed_form(uint32_t code_point) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return code_point == ' ';
    default:
      return true;
  }
}

void append_repr_char(std::string& out, uint32_t c, char quote) {
  if (c == '\\' || c == static_cast<uint32_t>(quote)) {
    out += '\\';
    out += static_cast<char>(c);
  } else if (c == '\n') {
    out += "\\n";
  } else if (c == '\r') {
    out += "\\r";
  } else if (c == '\t') {
    out += "\\t";
  } else if (has_printed_form(c)) {
    append_utf8(out, c);
  } else {
    out += c < 0x100     ? fmt::format("\\x{:02x}", c)
           : c < 0x10000 ? fmt::format("\\u{:04x}", c)
                         : fmt::format("\\U{:08x}", c);
  }
}

Result<void> print_quoted(Budget& budget, TextBuilder& out, const Text& text) {
  TRY(budget.spend_reading(text.bytes.size()));
  const bool has_single = text.bytes.find('\'') != std::string::npos;
  const char quote = has_single && text.bytes.find('"') == std::string::npos ? '"' : '\'';
  out.append({&quote, 1});
  for_each_run(text, [&](std::string_view run, Trust trust) {
    std::string escaped;
    while (!run.empty()) {
      const Utf8Char c = decode_utf8(run);
      append_repr_char(escaped, c.code_point, quote);
      run.remove_prefix(c.length);
    }
    out.append(escaped, trust);
  });
  out.append({&quote, 1});
  return {};
}

Result<void> print_element(Budget& budget, TextBuilder& out, const Value& value) {
  if (const Text* text = value.text()) return print_quoted(budget, out, *text);
  if (value.is<Undefined>()) {
    out.append("Undefined");
    return {};
  }
  return print(budget, out, value);
}

Result<void> print_list(Budget& budget, TextBuilder& out, const List& list) {
  if (list.kind == ListKind::kStream) {
    return fail(Code::kInvalidArgument, "a stream of values cannot be printed; add \"| list\"");
  }
  const bool tuple = list.kind == ListKind::kTuple;
  out.append(tuple ? "(" : "[");
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out.append(", ");
    TRY(print_element(budget, out, list.items[i]));
  }
  out.append(tuple ? (list.items.size() == 1 ? ",)" : ")") : "]");
  return {};
}

Result<void> print_dict(Budget& budget, TextBuilder& out, const Dict& dict) {
  out.append("{");
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) out.append(", ");
    TRY(print_element(budget, out, dict.entries[i].first));
    out.append(": ");
    TRY(print_element(budget, out, dict.entries[i].second));
  }
  out.append("}");
  return {};
}

Result<bool> lists_equal(Budget& budget, const List& a, const List& b) {
  if (a.kind != b.kind || a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    TRY(const bool same, equal(budget, a.items[i], b.items[i]));
    if (!same) return false;
  }
  return true;
}

Result<bool> dicts_equal(Budget& budget, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& entry : a.entries) {
    TRY(const Value* other, find(budget, b, entry.first));
    if (!other) return false;
    TRY(const bool same, equal(budget, entry.second, *other));
    if (!same) return false;
  }
  return true;
}

// Where `key` stands in `dict`, or its size.
Result<size_t> index_of(Budget& budget, const Dict& dict, const Value& key) {
  TRY(budget.spend_steps(1 + dict.entries.size() / 8));
  if (!is_hashable(key)) {
    return fail(Code::kInvalidArgument, "{} cannot be a key of a dictionary", key.kind());
  }
  const Text* text = key.text();
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    const Value& other = dict.entries[i].first;
    if (text && !other.text()) continue;
    if (text && other.text()->bytes.size() != text->bytes.size()) continue;
    TRY(const bool same, equal(budget, other, key));
    if (same) return i;
  }
  return dict.entries.size();
}

}  // namespace

const int64_t* Value::integer(int64_t& room) const {
  if (const bool* b = get<bool>()) {
    room = *b ? 1 : 0;
    return &room;
  }
  return get<int64_t>();
}

double Value::number() const {
  if (const double* d = get<double>()) return *d;
  int64_t room = 0;
  const int64_t* i = integer(room);
  return i ? static_cast<double>(*i) : 0;
}

bool Value::truth() const {
  if (is<Undefined>() || is<None>()) return false;
  if (is_number()) return number() != 0;
  if (const Text* t = text()) return !t->bytes.empty();
  if (const List* l = list()) return l->kind == ListKind::kStream || !l->items.empty();
  if (const Dict* d = dict()) return !d->entries.empty();
  return true;
}

int Value::depth() const {
  if (const List* l = list()) return l->depth;
  if (const Dict* d = dict()) return d->depth;
  if (const auto* loop = get<LoopPtr>()) return (*loop)->items->depth + 1;
  if (const auto* function = get<FunctionPtr>()) return (*function)->self.depth() + 1;
  return 0;
}

std::string_view Value::kind() const {
  static constexpr std::string_view kKinds[] = {
      "an undefined value", "none",   "a boolean",    "an integer",  "a float",
      "a string",           "a list", "a dictionary", "a namespace", "the loop variable",
      "a function"};
  static_assert(std::size(kKinds) == std::variant_size_v<Data>);
  if (const List* l = list(); l && l->kind != ListKind::kList) {
    return l->kind == ListKind::kTuple ? "a tuple" : "a stream of values";
  }
  return kKinds[data_.index()];
}

Value text_value(std::string bytes, Trust trust) {
  Text text{std::move(bytes), {}};
  if (trust == Trust::kUntrusted && !text.bytes.empty()) {
    text.untrusted.push_back({0, text.bytes.size()});
  }
  return TextPtr(std::make_shared<const Text>(std::move(text)));
}

Result<Value> text_value(Result<TextPtr> made) {
  if (!made) return tl::unexpected<Error>(std::move(made).error());
  return Value(*std::move(made));
}

Result<Value> list_value(Budget& budget, std::vector<Value> items, ListKind kind) {
  TRY(budget.spend_bytes(sizeof(List) + items.size() * sizeof(Value)));
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  if (depth >= kMaxValueDepth) {
    return fail(Code::kLimit, "lists are more than {} levels deep", kMaxValueDepth);
  }
  return Value(ListPtr(std::make_shared<const List>(List{kind, depth + 1, std::move(items)})));
}

Result<Value> dict_value(Budget& budget, Dict dict) {
  TRY(budget.spend_bytes(sizeof(Dict) + dict.entries.size() * 2 * sizeof(Value)));
  int depth = 0;
  for (const auto& [key, value] : dict.entries) {
    depth = std::max({depth, key.depth(), value.depth()});
  }
  if (depth >= kMaxValueDepth) {
    return fail(Code::kLimit, "dictionaries are more than {} levels deep", kMaxValueDepth);
  }
  dict.depth = depth + 1;
  return Value(DictPtr(std::make_shared<const Dict>(std::move(dict))));
}

Result<const Value*> find(Budget& budget, const Dict& dict, const Value& key) {
  TRY(const size_t at, index_of(budget, dict, key));
  return at < dict.entries.size() ? &dict.entries[at].second : nullptr;
}

Result<void> insert(Budget& budget, Dict& dict, Value key, Value value) {
  TRY(const size_t at, index_of(budget, dict, key));
  if (at < dict.entries.size()) {
    dict.entries[at].second = std::move(value);
  } else {
    dict.entries.emplace_back(std::move(key), std::move(value));
  }
  return {};
}

Result<bool> equal(Budget& budget, const Value& a, const Value& b) {
  TRY(budget.spend_steps(1));
  if (a.is_number() && b.is_number()) {
    int64_t room_a = 0;
    int64_t room_b = 0;
    const int64_t* x = a.integer(room_a);
    const int64_t* y = b.integer(room_b);
    return x && y ? *x == *y : a.number() == b.number();
  }
  if (const Text* x = a.text(), *y = b.text(); x && y) {
    if (x->bytes.size() != y->bytes.size()) return false;
    TRY(budget.spend_reading(x->bytes.size()));
    return x->bytes == y->bytes;
  }
  if (const List* x = a.list(), *y = b.list(); x && y) return lists_equal(budget, *x, *y);
  if (const Dict* x = a.dict(), *y = b.dict(); x && y) return dicts_equal(budget, *x, *y);
  if (const auto* x = a.get<Namespace*>(), *y = b.get<Namespace*>(); x && y) return *x == *y;
  return (a.is<None>() && b.is<None>()) || (a.is<Undefined>() && b.is<Undefined>());
}

Result<bool> less(Budget& budget, const Value& a, const Value& b) {
  TRY(budget.spend_steps(1));
  TRY(require_defined(a));
  TRY(require_defined(b));
  if (a.is_number() && b.is_number()) {
    int64_t room_a = 0;
    int64_t room_b = 0;
    const int64_t* x = a.integer(room_a);
    const int64_t* y = b.integer(room_b);
    return x && y ? *x < *y : a.number() < b.number();
  }
  if (const Text* x = a.text(), *y = b.text(); x && y) {
    TRY(budget.spend_reading(std::min(x->bytes.size(), y->bytes.size())));
    return x->bytes < y->bytes;
  }
  const List* x = a.list();
  const List* y = b.list();
  if (!x || !y || x->kind != y->kind) {
    return fail(Code::kInvalidArgument, "{} and {} have no order", a.kind(), b.kind());
  }
  for (size_t i = 0; i < std::min(x->items.size(), y->items.size()); ++i) {
    TRY(const bool same, equal(budget, x->items[i], y->items[i]));
    if (!same) return less(budget, x->items[i], y->items[i]);
  }
  return x->items.size() < y->items.size();
}

Result<ListPtr> elements(Budget& budget, const Value& value) {
  if (const ListPtr* list = value.get<ListPtr>()) return *list;
  std::vector<Value> items;
  if (const Text* text = value.text()) {
    for (size_t at = 0; at < text->bytes.size();) {
      const size_t end = at + decode_utf8(std::string_view(text->bytes).substr(at)).length;
      TextBuilder character(budget);
      character.append(*text, at, end);
      TRY(TextPtr item, character.finish());
      items.emplace_back(std::move(item));
      at = end;
    }
  } else if (const Dict* dict = value.dict()) {
    TRY(budget.spend_bytes(dict->entries.size() * sizeof(Value)));
    for (const auto& entry : dict->entries) items.push_back(entry.first);
  } else if (!value.is<Undefined>()) {
    return fail(Code::kInvalidArgument, "{} has no elements to go through", value.kind());
  }
  TRY(const Value made, list_value(budget, std::move(items)));
  return *made.get<ListPtr>();
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

Result<void> print(Budget& budget, TextBuilder& out, const Value& value) {
  TRY(budget.spend_steps(1));
  if (const Text* text = value.text()) {
    out.append(*text);
  } else if (value.is<None>()) {
    out.append("None");
  } else if (const bool* b = value.get<bool>()) {
    out.append(*b ? "True" : "False");
  } else if (const int64_t* i = value.get<int64_t>()) {
    out.append(fmt::format("{}", *i));
  } else if (const double* d = value.get<double>()) {
    out.append(float_text(*d));
  } else if (const List* list = value.list()) {
    return print_list(budget, out, *list);
  } else if (const Dict* dict = value.dict()) {
    return print_dict(budget, out, *dict);
  } else if (!value.is<Undefined>()) {
    return fail(Code::kInvalidArgument, "{} cannot be printed", value.kind());
  }
  return {};
}

Result<TextPtr> to_text(Budget& budget, const Value& value) {
  if (const TextPtr* text = value.get<TextPtr>()) return *text;
  TextBuilder out(budget);
  TRY(print(budget, out, value));
  return out.finish();
}

Result<void> require_defined(const Value& value) {
  const Undefined* undefined = value.get<Undefined>();
  if (!undefined) return {};
  return fail(Code::kInvalidArgument, "{}", undefined->what ? *undefined->what : "undefined value");
}

}  // namespace hachi::chat::jinja
