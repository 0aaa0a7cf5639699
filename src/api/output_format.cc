#include "api/output_format.h"

#include <utility>

#include <boost/json/serialize.hpp>

#include "formats/json.h"

namespace hachi::api {
namespace {

using Kind = OutputFormat::Kind;

OutputFormat with_text(FieldReader& fields, std::string_view name, Kind kind, std::string text) {
  const bool is_schema = kind == Kind::kJsonSchema;
  const size_t limit = is_schema ? kMaxSchemaBytes : kMaxGrammarBytes;
  if (text.size() > limit) {
    fields.fail(name, "must have at most {} bytes, got {}", limit, text.size());
  }
  return {.kind = kind, .text = std::move(text), .path = fields.path_of(name)};
}

OutputFormat read_schema(FieldReader& fields, std::string_view name) {
  const json::object* schema = fields.object(name);
  return schema ? with_text(fields, name, Kind::kJsonSchema, json::serialize(*schema))
                : OutputFormat();
}

// A schema as vLLM takes it: an object, or the text of one.
OutputFormat read_schema_or_text(FieldReader& fields, std::string_view name) {
  const json::value* value = fields.any(name);
  if (!value || !value->is_string()) return read_schema(fields, name);
  const auto text = fields.text(name, kMaxSchemaBytes);
  if (!text) return {};
  const auto parsed = formats::parse_json_object(*text, "the text");
  if (!parsed) {
    fields.fail(name, "must be a JSON schema or the text of one: {}", parsed.error().message);
    return {};
  }
  return with_text(fields, name, Kind::kJsonSchema, json::serialize(*parsed));
}

OutputFormat read_text(FieldReader& fields, std::string_view name, Kind kind) {
  auto text = fields.text(name, kMaxGrammarBytes);
  if (!text) return {};
  if (text->empty()) fields.fail(name, "must not be empty");
  return with_text(fields, name, kind, std::move(*text));
}

OutputFormat read_choices(FieldReader& fields, std::string_view name) {
  OutputFormat out;
  const json::array* choices = fields.list(name, kMaxFormatChoices);
  if (!choices) return out;
  if (choices->empty()) fields.fail(name, "must have at least one choice");
  const std::string path = fields.path_of(name);
  for (size_t i = 0; i < choices->size(); ++i) {
    auto choice = text_element((*choices)[i], path, i, kMaxChoiceBytes, fields.error());
    if (choice) out.choices.push_back(std::move(*choice));
  }
  out.kind = Kind::kChoice;
  out.path = path;
  return out;
}

OutputFormat any_object(FieldReader& fields, std::string_view name) {
  return {.kind = Kind::kJsonObject, .path = fields.path_of(name)};
}

// A schema with what OpenAI says about it.
OutputFormat read_described_schema(FieldReader& fields) {
  fields.require("schema");
  OutputFormat out = read_schema(fields, "schema");
  out.name = fields.text("name").value_or("");
  (void)fields.text("description", kMaxTextBytes);  // the prompt is the client's own
  out.strict = fields.boolean("strict").value_or(false);
  return out;
}

// {"type": …}; json_schema has its fields beside the type, or in an object where `is_nested`.
OutputFormat read_typed(FieldReader& format, bool is_nested) {
  OutputFormat out;
  format.require("type");
  const auto type = format.word("type", {"text", "json_object", "json_schema"});
  if (type == "json_object") {
    out = read_schema(format, "schema");
    if (out.text.empty() || out.text == "{}") out = any_object(format, "type");
  } else if (type == "json_schema" && is_nested) {
    format.require("json_schema");
    if (const json::object* schema = format.object("json_schema")) {
      FieldReader inner(*schema, format.path_of("json_schema"), format.error());
      out = read_described_schema(inner);
      inner.finish();
    }
  } else if (type == "json_schema") {
    out = read_described_schema(format);
  }
  format.finish();
  return out;
}

OutputFormat read_response_format(FieldReader& fields) {
  const json::object* format = fields.object("response_format");
  if (!format) return {};
  const bool is_nested = format->contains("json_schema") || !format->contains("schema");
  FieldReader reader(*format, fields.path_of("response_format"), fields.error());
  return read_typed(reader, is_nested);
}

OutputFormat read_structured_outputs(FieldReader& fields) {
  OutputFormat out;
  const json::object* outputs = fields.object("structured_outputs");
  if (!outputs) return out;
  FieldReader reader(*outputs, fields.path_of("structured_outputs"), fields.error());
  auto take = [&](OutputFormat format) {
    out = one_format(std::move(out), std::move(format), fields.error());
  };
  take(read_schema_or_text(reader, "json"));
  take(read_text(reader, "regex", Kind::kRegex));
  take(read_choices(reader, "choice"));
  take(read_text(reader, "grammar", Kind::kGrammar));
  if (reader.boolean("json_object").value_or(false)) take(any_object(reader, "json_object"));
  (void)reader.boolean("disable_fallback");  // there is one way to enforce a form
  reader.unsupported("disable_any_whitespace");
  reader.unsupported("disable_additional_properties");
  reader.unsupported("whitespace_pattern");
  reader.unsupported("structural_tag");
  reader.finish();
  return out;
}

}  // namespace

OutputFormat one_format(OutputFormat first, OutputFormat second, FirstError& error) {
  if (second.kind == Kind::kText) return first;
  if (first.kind != Kind::kText && !error) {
    error = invalid_field(second.path, "{} and {} exclude each other: give one of them",
                          second.path, first.path);
  }
  return second;
}

OutputFormat read_output_format(FieldReader& fields) {
  OutputFormat out = read_response_format(fields);
  auto take = [&](OutputFormat format) {
    out = one_format(std::move(out), std::move(format), fields.error());
  };
  take(read_structured_outputs(fields));
  take(read_schema_or_text(fields, "guided_json"));
  take(read_text(fields, "guided_regex", Kind::kRegex));
  take(read_choices(fields, "guided_choice"));
  take(read_text(fields, "guided_grammar", Kind::kGrammar));
  fields.unsupported("guided_whitespace_pattern");
  fields.unsupported("guided_decoding_backend", {"auto"});
  take(read_schema_or_text(fields, "json_schema"));
  // Clients of llama.cpp send an empty grammar for none.
  const json::value* grammar = fields.any("grammar");
  if (grammar && *grammar != "") take(read_text(fields, "grammar", Kind::kGrammar));
  return out;
}

OutputFormat read_text_format(FieldReader& text_config) {
  const json::object* format = text_config.object("format");
  if (!format) return {};
  FieldReader reader(*format, text_config.path_of("format"), text_config.error());
  return read_typed(reader, false);
}

OutputFormat read_anthropic_format(FieldReader& fields, std::string_view name) {
  const json::object* format = fields.object(name);
  if (!format) return {};
  FieldReader reader(*format, fields.path_of(name), fields.error());
  reader.require("type");
  (void)reader.word("type", {"json_schema"});
  reader.require("schema");
  OutputFormat out = read_schema(reader, "schema");
  out.strict = true;
  reader.finish();
  return out;
}

}  // namespace hachi::api
