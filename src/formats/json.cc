#include "formats/json.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>

#include "formats/printable.h"

namespace hachi::formats {
namespace {

namespace json = boost::json;

// Takes the parser's events and builds the value, as Boost's own handler does, and refuses what
// that one lets pass: a key that is twice in one object, and more values than we allow. It rounds
// numbers itself, because Boost's are off by a bit here and there.
class Builder {
 public:
  explicit Builder(json::storage_ptr storage) { stack_.reset(std::move(storage)); }

  static constexpr std::size_t max_object_size = kMaxJsonValues;
  static constexpr std::size_t max_array_size = kMaxJsonValues;
  static constexpr std::size_t max_key_size = kMaxJsonBytes;
  static constexpr std::size_t max_string_size = kMaxJsonBytes;

  // What went wrong, if it was this class that refused.
  const std::string& refusal() const { return refusal_; }
  json::value release() { return stack_.release(); }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code& ec) {
    open_.push_back({keys_.size(), text_.size()});
    return count(ec);
  }
  bool on_object_end(std::size_t n, json::error_code& ec) {
    const Mark begin = open_.back();
    open_.pop_back();
    if (const Key* twice = find_twice(begin.keys)) {
      return refuse(ec, fmt::format("the key {} is twice in the object that ends here",
                                    printable(text_of(*twice))));
    }
    keys_.resize(begin.keys);
    text_.resize(begin.text);
    stack_.push_object(n);
    return true;
  }
  bool on_array_begin(json::error_code& ec) { return count(ec); }
  bool on_array_end(std::size_t n, json::error_code&) {
    stack_.push_array(n);
    return true;
  }

  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    text_.append(part.data(), part.size());
    stack_.push_chars(part);
    return true;
  }
  bool on_key(json::string_view part, std::size_t length, json::error_code&) {
    text_.append(part.data(), part.size());
    Key key{0, text_.size() - length, length};
    key.hash = std::hash<std::string_view>()(text_of(key));
    keys_.push_back(key);
    stack_.push_key(part);
    return true;
  }

  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    stack_.push_chars(part);
    return true;
  }
  bool on_string(json::string_view part, std::size_t, json::error_code& ec) {
    stack_.push_string(part);
    return count(ec);
  }

  bool on_number_part(json::string_view part, json::error_code&) {
    number_.append(part.data(), part.size());
    return true;
  }
  bool on_int64(int64_t value, json::string_view, json::error_code& ec) {
    number_.clear();
    stack_.push_int64(value);
    return count(ec);
  }
  bool on_uint64(uint64_t value, json::string_view, json::error_code& ec) {
    number_.clear();
    stack_.push_uint64(value);
    return count(ec);
  }
  bool on_double(double, json::string_view part, json::error_code& ec) {
    number_.append(part.data(), part.size());
    double value = 0;
    const char* end = number_.data() + number_.size();
    const auto [stopped, error] = std::from_chars(number_.data(), end, value);
    if (error != std::errc() || stopped != end) {
      return refuse(ec, fmt::format("the number {} does not fit a double", printable(number_)));
    }
    number_.clear();
    stack_.push_double(value);
    return count(ec);
  }
  bool on_bool(bool value, json::error_code& ec) {
    stack_.push_bool(value);
    return count(ec);
  }
  bool on_null(json::error_code& ec) {
    stack_.push_null();
    return count(ec);
  }

  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  struct Key {
    size_t hash;
    size_t begin;  // in text_
    size_t length;
  };
  struct Mark {
    size_t keys;
    size_t text;
  };

  bool refuse(json::error_code& ec, std::string why) {
    refusal_ = std::move(why);
    ec = json::make_error_code(json::error::exception);
    return false;
  }
  bool count(json::error_code& ec) {
    if (++values_ <= kMaxJsonValues) return true;
    return refuse(ec, fmt::format("there are more than the {} values allowed", kMaxJsonValues));
  }

  std::string_view text_of(const Key& key) const {
    return std::string_view(text_).substr(key.begin, key.length);
  }

  // A key that is twice among those from `first` on, or null. With sorted hashes the parse of Gemma
  // 3's tokenizer.json takes 1.3 times as long as without this check, with a set of strings 4.5.
  const Key* find_twice(size_t first) {
    const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(first);
    std::sort(begin, keys_.end(), [this](const Key& a, const Key& b) {
      return a.hash != b.hash ? a.hash < b.hash : text_of(a) < text_of(b);
    });
    const auto found = std::adjacent_find(begin, keys_.end(), [this](const Key& a, const Key& b) {
      return a.hash == b.hash && text_of(a) == text_of(b);
    });
    return found == keys_.end() ? nullptr : &*found;
  }

  json::value_stack stack_;
  std::vector<Key> keys_;   // of all objects that are open
  std::string text_;        // of those keys
  std::vector<Mark> open_;  // where the keys of each open object begin
  std::string number_;
  uint64_t values_ = 0;
  std::string refusal_;
};

tl::unexpected<Error> error_at(std::string_view text, size_t at, std::string_view file,
                               std::string_view why) {
  const std::string_view before = text.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t last_break = before.rfind('\n');
  const size_t column = last_break == before.npos ? at + 1 : at - last_break;
  return fail(Code::kCorrupt, "{}: not usable JSON at line {}, column {}: {}", file, line, column,
              why);
}

// A list of plain values of one type is one value.
Value list_value(const json::array& array) {
  const auto all = [&](auto is) { return std::all_of(array.begin(), array.end(), is); };
  const auto is_number = [](const json::value& v) { return v.is_number(); };
  const auto is_integer = [](const json::value& v) { return v.is_int64(); };
  if (all(is_integer)) {  // an empty list too
    std::vector<int64_t> list;
    for (const json::value& element : array) list.push_back(element.get_int64());
    return list;
  }
  if (all(is_number)) {
    std::vector<double> list;
    for (const json::value& element : array) list.push_back(element.to_number<double>());
    return list;
  }
  if (all([](const json::value& v) { return v.is_bool(); })) {
    std::vector<int64_t> list;
    for (const json::value& element : array) list.push_back(element.get_bool() ? 1 : 0);
    return list;
  }
  if (all([](const json::value& v) { return v.is_string(); })) {
    std::vector<std::string_view> list;
    for (const json::value& element : array) list.push_back(element.get_string());
    return list;
  }
  return Composite();
}

Value to_value(const json::value& value) {
  switch (value.kind()) {
    case json::kind::bool_:
      return value.get_bool();
    case json::kind::int64:
      return value.get_int64();
    case json::kind::uint64:
      return value.get_uint64();
    case json::kind::double_:
      return value.get_double();
    case json::kind::string:
      return std::string_view(value.get_string());
    case json::kind::array:
      return list_value(value.get_array());
    case json::kind::object:
      return Composite();
    case json::kind::null:
      break;
  }
  return {};
}

Result<void> flatten_into(Metadata& metadata, const json::object& object, const std::string& prefix,
                          std::string_view file) {
  for (const json::key_value_pair& pair : object) {
    const std::string key = prefix + std::string(pair.key());
    if (!metadata.add(key, to_value(pair.value()))) {
      return fail(Code::kCorrupt, "{}: there are two values for {}", file, printable(key));
    }
    if (const json::object* inner = pair.value().if_object()) {
      TRY(flatten_into(metadata, *inner, key + ".", file));
    }
  }
  return {};
}

}  // namespace

Result<json::value> parse_json(std::string_view text, std::string_view file,
                               json::storage_ptr storage) {
  if (text.size() > kMaxJsonBytes) {
    return fail(Code::kLimit, "{}: {} bytes of JSON, more than the {} allowed", file, text.size(),
                kMaxJsonBytes);
  }
  try {
    json::parse_options options;
    options.max_depth = kMaxJsonDepth;
    json::basic_parser<Builder> parser(options, std::move(storage));
    json::error_code ec;
    const size_t read = parser.write_some(false, text.data(), text.size(), ec);
    const std::string& refusal = parser.handler().refusal();
    if (!refusal.empty()) return error_at(text, read, file, refusal);
    if (!ec && read < text.size()) ec = json::make_error_code(json::error::extra_data);
    if (ec) return error_at(text, read, file, ec.message());
    return parser.handler().release();
  } catch (const std::exception& thrown) {
    return fail(Code::kLimit, "{}: cannot hold its JSON: {}", file, thrown.what());
  }
}

Result<json::object> parse_json_object(std::string_view text, std::string_view file) {
  TRY(auto value, parse_json(text, file));
  if (!value.is_object()) {
    return fail(Code::kCorrupt, "{}: the JSON in it is not an object", file);
  }
  return std::move(value.get_object());
}

Result<Metadata> flatten(const json::object& object, std::string_view file) {
  Metadata metadata;
  TRY(flatten_into(metadata, object, "", file));
  return metadata;
}

}  // namespace hachi::formats
