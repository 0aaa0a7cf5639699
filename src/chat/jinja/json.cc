#include "chat/jinja/json.h"

#include <algorithm>
#include <cmath>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "core/utf8.h"

namespace hachi::chat::jinja {
namespace {

Result<Value> from_json_at(Budget& budget, const boost::json::value& json, Trust trust, int depth);

Result<Value> object_value(Budget& budget, const boost::json::object& object, Trust trust,
                           int depth) {
  Dict dict;
  dict.entries.reserve(object.size());
  for (const auto& member : object) {
    TRY(Value value, from_json_at(budget, member.value(), trust, depth + 1));
    TRY(budget.spend_bytes(member.key().size() + sizeof(Text)));
    dict.entries.emplace_back(text_value(replace_invalid_utf8(member.key()), trust),
                              std::move(value));
  }
  return dict_value(budget, std::move(dict));
}

Result<Value> array_value(Budget& budget, const boost::json::array& array, Trust trust, int depth) {
  std::vector<Value> items;
  items.reserve(array.size());
  for (const boost::json::value& element : array) {
    TRY(Value item, from_json_at(budget, element, trust, depth + 1));
    items.push_back(std::move(item));
  }
  return list_value(budget, std::move(items));
}

Result<Value> from_json_at(Budget& budget, const boost::json::value& json, Trust trust, int depth) {
  if (depth > kMaxValueDepth) {
    return fail(Code::kLimit, "JSON is more than {} levels deep", kMaxValueDepth);
  }
  switch (json.kind()) {
    case boost::json::kind::null:
      return Value(None{});
    case boost::json::kind::bool_:
      return Value(json.get_bool());
    case boost::json::kind::int64:
      return Value(json.get_int64());
    case boost::json::kind::uint64: {
      const uint64_t number = json.get_uint64();
      if (number > INT64_MAX) return Value(static_cast<double>(number));
      return Value(static_cast<int64_t>(number));
    }
    case boost::json::kind::double_:
      return Value(json.get_double());
    case boost::json::kind::string: {
      const auto& text = json.get_string();
      TRY(budget.spend_bytes(text.size() + sizeof(Text)));
      return text_value(replace_invalid_utf8({text.data(), text.size()}), trust);
    }
    case boost::json::kind::array:
      return array_value(budget, json.get_array(), trust, depth);
    case boost::json::kind::object:
      return object_value(budget, json.get_object(), trust, depth);
  }
  return Value(None{});
}

void append_utf16_escapes(std::string& out, uint32_t c) {
  if (c < 0x10000) {
    out += fmt::format("\\u{:04x}", c);
  } else {
    out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((c - 0x10000) >> 10),
                       0xDC00 + ((c - 0x10000) & 0x3FF));
  }
}

void append_escaped(std::string& out, uint32_t c, bool ascii_only) {
  static constexpr std::pair<char, std::string_view> kShort[] = {
      {'"', "\\\""}, {'\\', "\\\\"}, {'\n', "\\n"}, {'\r', "\\r"},
      {'\t', "\\t"}, {'\b', "\\b"},  {'\f', "\\f"}};
  for (const auto& [plain, escape] : kShort) {
    if (c == static_cast<uint32_t>(plain)) {
      out += escape;
      return;
    }
  }
  if (c < 0x20 || (ascii_only && c > 0x7F)) {
    append_utf16_escapes(out, c);
  } else {
    append_utf8(out, c);
  }
}

class Writer {
 public:
  Writer(Budget& budget, const JsonStyle& style) : budget_(budget), style_(style), out_(budget) {}

  Result<void> write(const Value& value);
  Result<TextPtr> finish() { return out_.finish(); }

 private:
  void string(const Text& text);
  Result<void> key(const Value& key);
  Result<void> list(const List& list);
  Result<void> dict(const Dict& dict);
  void new_line();

  Budget& budget_;
  const JsonStyle& style_;
  TextBuilder out_;
  int level_ = 0;
};

void Writer::new_line() {
  if (!style_.indent) return;
  out_.append("\n");
  for (int i = 0; i < level_; ++i) out_.append(*style_.indent);
}

void Writer::string(const Text& text) {
  out_.append("\"");
  for_each_run(text, [&](std::string_view run, Trust trust) {
    std::string escaped;
    escaped.reserve(run.size());
    while (!run.empty()) {
      const Utf8Char c = decode_utf8(run);
      append_escaped(escaped, c.code_point, style_.ascii_only);
      run.remove_prefix(c.length);
    }
    out_.append(escaped, trust);
  });
  out_.append("\"");
}

std::string json_float(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
  return float_text(number);
}

Result<void> Writer::key(const Value& key) {
  if (key.text() || key.is<None>() || key.is_number()) {
    if (!key.text()) out_.append("\"");
    TRY(write(key));
    if (!key.text()) out_.append("\"");
    return {};
  }
  return fail(Code::kInvalidArgument, "{} cannot be a key in JSON", key.kind());
}

Result<void> Writer::list(const List& list) {
  if (list.kind == ListKind::kStream) {
    return fail(Code::kInvalidArgument, "a stream of values has no JSON form; add \"| list\"");
  }
  out_.append("[");
  ++level_;
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out_.append(style_.item_separator);
    new_line();
    TRY(write(list.items[i]));
  }
  --level_;
  if (!list.items.empty()) new_line();
  out_.append("]");
  return {};
}

Result<void> Writer::dict(const Dict& dict) {
  std::vector<const std::pair<Value, Value>*> entries;
  for (const auto& entry : dict.entries) entries.push_back(&entry);
  if (style_.sort_keys) {
    TRY(budget_.spend_steps(entries.size() * 16));
    for (const auto* entry : entries) {
      if (!entry->first.text()) {
        return fail(Code::kUnsupported, "tojson can only sort keys that are strings");
      }
      TRY(budget_.spend_reading(entry->first.text()->bytes.size() * 16));
    }
    std::stable_sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
      return a->first.text()->bytes < b->first.text()->bytes;
    });
  }
  out_.append("{");
  ++level_;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out_.append(style_.item_separator);
    new_line();
    TRY(key(entries[i]->first));
    out_.append(style_.key_separator);
    TRY(write(entries[i]->second));
  }
  --level_;
  if (!entries.empty()) new_line();
  out_.append("}");
  return {};
}

Result<void> Writer::write(const Value& value) {
  TRY(budget_.spend_steps(1));
  TRY(require_defined(value));
  if (const Text* text = value.text()) {
    TRY(budget_.spend_reading(text->bytes.size()));
    string(*text);
  } else if (const List* items = value.list()) {
    return list(*items);
  } else if (const Dict* entries = value.dict()) {
    return dict(*entries);
  } else if (value.is<None>()) {
    out_.append("null");
  } else if (const bool* b = value.get<bool>()) {
    out_.append(*b ? "true" : "false");
  } else if (const int64_t* i = value.get<int64_t>()) {
    out_.append(fmt::format("{}", *i));
  } else if (const double* d = value.get<double>()) {
    out_.append(json_float(*d));
  } else {
    return fail(Code::kInvalidArgument, "{} has no JSON form", value.kind());
  }
  return {};
}

}  // namespace

Result<Value> from_json(Budget& budget, const boost::json::value& json, Trust trust) {
  return from_json_at(budget, json, trust, 0);
}

Result<TextPtr> to_json(Budget& budget, const Value& value, const JsonStyle& style) {
  Writer writer(budget, style);
  TRY(writer.write(value));
  return writer.finish();
}

}  // namespace hachi::chat::jinja
