// The form that an answer must have, as each API and server of the field names it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "api/fields.h"

namespace hachi::api {

inline constexpr size_t kMaxSchemaBytes = 1 << 20;   // as JSON text without spaces
inline constexpr size_t kMaxGrammarBytes = 1 << 20;  // of a regex or a grammar
inline constexpr size_t kMaxFormatChoices = 1024;
inline constexpr size_t kMaxChoiceBytes = 4096;

struct OutputFormat {
  enum class Kind {
    kText,        // whatever the model says
    kJsonObject,  // any JSON object
    kJsonSchema,  // `text` is the schema, a JSON object with its keys in the request's order
    kRegex,       // `text` is matched by the whole answer
    kGrammar,     // `text` is EBNF
    kChoice,      // one of `choices`
  };

  Kind kind = Kind::kText;
  std::string text;
  std::vector<std::string> choices;  // 1 to kMaxFormatChoices
  std::string name;                  // of a schema, if it was given
  bool strict = false;               // as the request has it
  std::string path;  // the field that has it, for errors: "response_format.json_schema.schema"
};

// What chat and completions take, of which a request may have one:
//   response_format     text, json_object (with `schema`: that schema), json_schema, whose fields
//                       stand in `json_schema` or, as llama.cpp has it, beside the type
//   structured_outputs  vLLM's: json, regex, choice, grammar or json_object
//   guided_json, guided_regex, guided_choice, guided_grammar   vLLM's older ones
//   json_schema, grammar                                       llama.cpp's
OutputFormat read_output_format(FieldReader& fields);

// `format` of the text configuration of the Responses API.
OutputFormat read_text_format(FieldReader& text_config);

// Anthropic's output_format, and the format of its output_config: a JSON schema each.
OutputFormat read_anthropic_format(FieldReader& fields, std::string_view name);

// Of two formats of one request the one that asks for something; fails if both do.
OutputFormat one_format(OutputFormat first, OutputFormat second, FirstError& error);

}  // namespace hachi::api
