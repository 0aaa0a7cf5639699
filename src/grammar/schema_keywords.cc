#include "grammar/schema_keywords.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "formats/printable.h"
#include "grammar/schema.h"

namespace hachi::grammar {
namespace {

namespace json = boost::json;

constexpr int kMaxGatherDepth = 32;  // of $ref and allOf that lead on to others

// Enforced where they stand; $ref and allOf by gather().
constexpr std::array<std::string_view, 23> kEnforced = {"additionalProperties",
                                                        "anyOf",
                                                        "const",
                                                        "enum",
                                                        "exclusiveMaximum",
                                                        "exclusiveMinimum",
                                                        "format",
                                                        "items",
                                                        "maxItems",
                                                        "maxLength",
                                                        "maxProperties",
                                                        "maximum",
                                                        "minItems",
                                                        "minLength",
                                                        "minProperties",
                                                        "minimum",
                                                        "multipleOf",
                                                        "oneOf",
                                                        "pattern",
                                                        "prefixItems",
                                                        "properties",
                                                        "required",
                                                        "type"};

// They constrain nothing.
constexpr std::array<std::string_view, 20> kAnnotations = {
    "$anchor",       "$comment",         "$defs",           "$id",       "$schema",
    "contentSchema", "contentMediaType", "contentEncoding", "default",   "definitions",
    "deprecated",    "description",      "discriminator",   "example",   "examples",
    "externalDocs",  "readOnly",         "title",           "writeOnly", "uniqueItems"};

template <size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

const Keyword* Keywords::find(std::string_view name) const {
  const auto found = std::find_if(list_.begin(), list_.end(),
                                  [name](const Keyword& keyword) { return keyword.name == name; });
  return found == list_.end() ? nullptr : &*found;
}

void Keywords::remove(std::string_view name) {
  std::erase_if(list_, [name](const Keyword& keyword) { return keyword.name == name; });
}

std::string child_pointer(std::string_view pointer, std::string_view name) {
  std::string result(pointer);
  result += '/';
  for (const char c : name) {
    if (c == '~') {
      result += "~0";
    } else if (c == '/') {
      result += "~1";
    } else {
      result += c;
    }
  }
  return result;
}

Result<void> SchemaReader::count(std::string_view pointer, size_t how_many) {
  num_subschemas_ += how_many;
  if (num_subschemas_ <= kMaxSubschemas) return {};
  return fail(Code::kLimit,
              "the schema is too large: at {} more than the {} subschemas allowed have been read, "
              "those that are merged or repeated counted each time",
              formats::printable(pointer), kMaxSubschemas);
}

const Keyword* SchemaReader::lone_ref(const json::value& schema, const std::string& pointer,
                                      Keyword& storage) const {
  const json::object* object = schema.if_object();
  const json::value* ref = object ? object->if_contains("$ref") : nullptr;
  if (!ref) return nullptr;
  for (const json::key_value_pair& pair : *object) {
    if (pair.key() != "$ref" && !is_one_of(kAnnotations, std::string_view(pair.key()))) {
      return nullptr;
    }
  }
  storage = {"$ref", ref, child_pointer(pointer, "$ref")};
  return &storage;
}

Result<const json::value*> SchemaReader::resolve(const Keyword& ref) const {
  const json::string* text = ref.value->if_string();
  if (!text || text->empty() || text->front() != '#') {
    return fail(Code::kUnsupported,
                "{}: only references within the schema (\"#/...\") can be followed",
                formats::printable(ref.pointer));
  }
  const json::value* at = &root_;
  std::string_view rest = std::string_view(*text).substr(1);
  while (at && !rest.empty()) {
    if (rest.front() != '/') {
      at = nullptr;
      break;
    }
    rest.remove_prefix(1);
    std::string name;
    for (; !rest.empty() && rest.front() != '/'; rest.remove_prefix(1)) {
      if (rest.starts_with("~0") || rest.starts_with("~1")) {
        name += rest[1] == '0' ? '~' : '/';
        rest.remove_prefix(1);
      } else {
        name += rest.front();
      }
    }
    if (const json::object* object = at->if_object()) {
      at = object->if_contains(name);
    } else if (const json::array* array = at->if_array()) {
      size_t index = 0;
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
      const bool is_index = error == std::errc() && end == name.data() + name.size();
      at = is_index && index < array->size() ? &(*array)[index] : nullptr;
    } else {
      at = nullptr;
    }
  }
  if (!at) {
    return fail(Code::kInvalidArgument, "{}: there is nothing at {}",
                formats::printable(ref.pointer), formats::printable(std::string_view(*text)));
  }
  return at;
}

Result<Keywords> SchemaReader::gather(const json::value& schema, const std::string& pointer,
                                      int depth) {
  TRY(count(pointer));
  if (depth > kMaxGatherDepth) {
    return fail(Code::kInvalidArgument,
                "{}: references and allOf lead on to others more than {} times, or in a circle",
                formats::printable(pointer), kMaxGatherDepth);
  }
  Keywords keywords;
  if (schema.is_bool() && schema.get_bool()) return keywords;
  const json::object* object = schema.if_object();
  if (!object) {
    return fail(Code::kInvalidArgument, "{}: {}", formats::printable(pointer),
                schema.is_bool() ? "false, which accepts nothing, cannot be merged"
                                 : "a schema must be an object or a boolean");
  }
  for (const json::key_value_pair& pair : *object) {
    const std::string_view name = pair.key();
    Keyword keyword{name, &pair.value(), child_pointer(pointer, name)};
    const bool is_true = pair.value().is_bool() && pair.value().get_bool();
    if (name == "uniqueItems" && !is_true) continue;
    if (is_one_of(kEnforced, name)) {
      keywords.add(std::move(keyword));
    } else if (name == "uniqueItems" ||
               (name != "$ref" && name != "allOf" && !is_one_of(kAnnotations, name))) {
      return fail(Code::kUnsupported,
                  "{}: this keyword is not enforced, so it is refused; leave it out, and check the "
                  "answer for it yourself",
                  formats::printable(keyword.pointer));
    }
  }
  if (const json::value* ref = object->if_contains("$ref")) {
    TRY(const json::value* target, resolve({"$ref", ref, child_pointer(pointer, "$ref")}));
    TRY(Keywords more, gather(*target, pointer, depth + 1));
    TRY(keywords, merge(keywords, more));
  }
  if (const json::value* all_of = object->if_contains("allOf")) {
    const std::string at = child_pointer(pointer, "allOf");
    if (!all_of->is_array()) {
      return fail(Code::kInvalidArgument, "{}: must be an array", formats::printable(at));
    }
    for (size_t i = 0; i < all_of->get_array().size(); ++i) {
      TRY(Keywords more,
          gather(all_of->get_array()[i], child_pointer(at, fmt::format("{}", i)), depth + 1));
      TRY(keywords, merge(keywords, more));
    }
  }
  return keywords;
}

}  // namespace hachi::grammar
