#include "api/tools.h"

#include <algorithm>
#include <set>
#include <utility>

#include <boost/json/serialize.hpp>

#include "api/output_format.h"

namespace hachi::api {
namespace {

using Choice = ToolFields::Choice;

bool is_tool_name(std::string_view name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  return !name.empty() && name.size() <= kMaxToolName &&
         name.find_first_not_of(kAllowed) == name.npos;
}

// Brings functions into the form of ToolFields::tools.
class ToolList {
 public:
  explicit ToolList(json::array& out) : out_(out) {}

  // `schema_name`: what the function's parameters are called there.
  void add(FieldReader& function, std::string_view schema_name) {
    function.require("name");
    const auto name = function.text("name");
    const auto description = function.text("description", kMaxSchemaBytes);
    const json::object* parameters = function.object(schema_name);
    const auto strict = function.boolean("strict");
    if (function.failed()) return;
    if (!is_tool_name(*name)) {
      function.fail("name", "must be 1 to {} of a-z, A-Z, 0-9, _ and -, got {}", kMaxToolName,
                    shown(json::value(*name)));
    } else if (!names_.insert(*name).second) {
      function.fail("name", "is that of another tool too, got '{}'", *name);
    }
    json::object fields{{"name", *name}};
    if (description) fields.emplace("description", *description);
    if (parameters) fields.emplace("parameters", *parameters);
    if (strict) fields.emplace("strict", *strict);
    json::object tool{{"type", "function"}, {"function", std::move(fields)}};
    const size_t bytes = json::serialize(tool).size();
    if (parameters && bytes > kMaxSchemaBytes) {
      function.fail(schema_name, "must have at most {} bytes, got {}", kMaxSchemaBytes, bytes);
    }
    bytes_ += bytes;
    if (bytes_ > kMaxToolBytes) {
      function.fail("name", "is that of a tool too many: all must have at most {} bytes",
                    kMaxToolBytes);
    }
    out_.push_back(std::move(tool));
  }

 private:
  json::array& out_;
  std::set<std::string> names_;
  size_t bytes_ = 0;
};

// Calls read(element) for each element of a list of objects.
template <class Read>
void read_each(FieldReader& fields, std::string_view name, const Read& read) {
  const json::array* list = fields.list(name, kMaxTools);
  if (!list) return;
  const std::string path = fields.path_of(name);
  for (size_t i = 0; i < list->size(); ++i) {
    auto element = read_element((*list)[i], path, i, fields.error());
    if (!element) return;
    read(*element);
    element->finish();
  }
}

// Other types are of tools that the provider of the API runs, or that have no schema.
void check_type(FieldReader& tool, std::string_view only) {
  const auto type = tool.text("type");
  if (!type || *type == only) return;
  tool.fail("type", "must be '{}', got {}: this server runs no tools itself", only,
            shown(json::value(*type)));
}

std::string_view name_of(const json::value& tool) {
  return tool.at("function").at("name").as_string();
}

bool has_tool(const json::array& tools, std::string_view name) {
  return std::any_of(tools.begin(), tools.end(),
                     [&](const json::value& tool) { return name_of(tool) == name; });
}

// A name that must be one of the tools; empty if that failed.
std::string read_name(FieldReader& fields, const json::array& tools) {
  fields.require("name");
  const auto name = fields.text("name");
  if (!name) return "";
  if (has_tool(tools, *name)) return *name;
  fields.fail("name", "must be the name of one of the tools, got {}", shown(json::value(*name)));
  return "";
}

// How the two APIs of OpenAI write {"type": "function", …}.
enum class Style { kNested, kFlat };

std::string read_function_name(FieldReader& fields, const json::array& tools, Style style) {
  if (style == Style::kFlat) return read_name(fields, tools);
  fields.require("function");
  const json::object* function = fields.object("function");
  if (!function) return "";
  FieldReader reader(*function, fields.path_of("function"), fields.error());
  std::string name = read_name(reader, tools);
  reader.finish();
  return name;
}

void read_allowed_tools(FieldReader& fields, Style style, ToolFields& out) {
  fields.require("mode");
  const auto mode = fields.word("mode", {"auto", "required"});
  fields.require("tools");
  std::set<std::string> allowed;
  read_each(fields, "tools", [&](FieldReader& tool) {
    check_type(tool, "function");
    allowed.insert(read_function_name(tool, out.tools, style));
  });
  if (allowed.empty()) fields.fail("tools", "must have at least one tool");
  if (fields.failed()) return;
  json::array kept;
  for (json::value& tool : out.tools) {
    if (allowed.contains(std::string(name_of(tool)))) kept.push_back(std::move(tool));
  }
  out.tools = std::move(kept);
  out.choice = mode == "required" ? Choice::kRequired : Choice::kAuto;
}

void read_choice_object(FieldReader& choice, Style style, ToolFields& out) {
  choice.require("type");
  const auto type = choice.word("type", {"function", "allowed_tools"});
  if (type == "function") {
    out.name = read_function_name(choice, out.tools, style);
    out.choice = Choice::kNamed;
  } else if (type == "allowed_tools" && style == Style::kFlat) {
    read_allowed_tools(choice, style, out);
  } else if (type == "allowed_tools") {
    choice.require("allowed_tools");
    if (const json::object* allowed = choice.object("allowed_tools")) {
      FieldReader reader(*allowed, choice.path_of("allowed_tools"), choice.error());
      read_allowed_tools(reader, style, out);
      reader.finish();
    }
  }
  choice.finish();
}

void read_choice(FieldReader& fields, Style style, ToolFields& out) {
  const json::value* choice = fields.any("tool_choice");
  if (!choice) return;
  if (const json::object* object = choice->if_object()) {
    FieldReader reader(*object, fields.path_of("tool_choice"), fields.error());
    read_choice_object(reader, style, out);
  } else if (const auto word = fields.word("tool_choice", {"auto", "none", "required"})) {
    out.choice = *word == "none"   ? Choice::kNone
                 : *word == "auto" ? Choice::kAuto
                                   : Choice::kRequired;
  }
}

// A choice among tools, or what is assumed where there is none.
void settle_choice(FieldReader& fields, std::string_view choice_name, ToolFields& out) {
  if (!out.tools.empty()) return;
  if (out.choice == Choice::kRequired) fields.fail(choice_name, "needs tools");
  out.choice = Choice::kNone;
}

void read_functions(FieldReader& fields, ToolFields& out) {
  const json::array* functions = fields.list("functions", kMaxTools);
  if (functions && !functions->empty()) {
    if (!out.tools.empty()) fields.fail("functions", "and tools exclude each other");
    ToolList list(out.tools);
    read_each(fields, "functions",
              [&](FieldReader& function) { list.add(function, "parameters"); });
    out.choice = Choice::kAuto;
    out.parallel = false;
  }
  const json::value* call = fields.any("function_call");
  if (!call) return;
  if (fields.any("tool_choice")) fields.fail("function_call", "and tool_choice exclude each other");
  if (const json::object* object = call->if_object()) {
    FieldReader reader(*object, fields.path_of("function_call"), fields.error());
    out.name = read_name(reader, out.tools);
    out.choice = Choice::kNamed;
    reader.finish();
  } else if (const auto word = fields.word("function_call", {"auto", "none"})) {
    out.choice = *word == "none" ? Choice::kNone : Choice::kAuto;
  }
}

}  // namespace

ToolFields read_chat_tools(FieldReader& fields) {
  ToolFields out;
  ToolList list(out.tools);
  read_each(fields, "tools", [&](FieldReader& tool) {
    check_type(tool, "function");
    tool.require("function");
    const json::object* function = tool.object("function");
    if (!function) return;
    FieldReader reader(*function, tool.path_of("function"), tool.error());
    list.add(reader, "parameters");
    reader.finish();
  });
  out.choice = Choice::kAuto;
  read_functions(fields, out);
  read_choice(fields, Style::kNested, out);
  out.parallel = fields.boolean("parallel_tool_calls").value_or(out.parallel);
  settle_choice(fields, "tool_choice", out);
  return out;
}

ToolFields read_response_tools(FieldReader& fields) {
  ToolFields out;
  ToolList list(out.tools);
  read_each(fields, "tools", [&](FieldReader& tool) {
    check_type(tool, "function");
    list.add(tool, "parameters");
    tool.ignore("output_schema");  // of what the client will answer
    tool.unsupported("async");
    tool.unsupported("allowed_callers");
    tool.unsupported("defer_loading");
  });
  out.choice = Choice::kAuto;
  read_choice(fields, Style::kFlat, out);
  out.parallel = fields.boolean("parallel_tool_calls").value_or(true);
  settle_choice(fields, "tool_choice", out);
  return out;
}

ToolFields read_anthropic_tools(FieldReader& fields) {
  ToolFields out;
  ToolList list(out.tools);
  read_each(fields, "tools", [&](FieldReader& tool) {
    check_type(tool, "custom");
    tool.require("input_schema");
    list.add(tool, "input_schema");
    tool.ignore("cache_control");
    (void)tool.boolean("eager_input_streaming");  // arguments are streamed as they come
    tool.unsupported("allowed_callers");
    tool.unsupported("defer_loading");
    tool.unsupported("input_examples");
  });
  out.choice = Choice::kAuto;
  if (const json::object* choice = fields.object("tool_choice")) {
    FieldReader reader(*choice, fields.path_of("tool_choice"), fields.error());
    reader.require("type");
    const auto type = reader.word("type", {"auto", "any", "tool", "none"});
    if (type == "any") out.choice = Choice::kRequired;
    if (type == "none") out.choice = Choice::kNone;
    if (type == "tool") {
      out.choice = Choice::kNamed;
      out.name = read_name(reader, out.tools);
    }
    out.parallel = !reader.boolean("disable_parallel_tool_use").value_or(false);
    reader.finish();
  }
  settle_choice(fields, "tool_choice", out);
  return out;
}

}  // namespace hachi::api
