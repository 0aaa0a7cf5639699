#include "api/output_format.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "api/anthropic_messages.h"
#include "api/chat_completions.h"
#include "api/completions.h"
#include "api/responses.h"

namespace hachi::api {
namespace {

using Kind = OutputFormat::Kind;

template <auto parse>
OutputFormat format_of(const std::string& base, const std::string& members) {
  const auto request = parse(fmt::format("{{{},{}}}", base, members));
  EXPECT_TRUE(request) << members << "\n" << request.error().message;
  return request ? request->format : OutputFormat();
}

constexpr const char* kChat = R"("model":"m","messages":[{"role":"user","content":"Hi"}])";

OutputFormat chat_format(const std::string& members) {
  const OutputFormat chat = format_of<parse_chat_request>(kChat, members);
  const OutputFormat completion =
      format_of<parse_completion_request>(R"("model":"m","prompt":"Hi")", members);
  EXPECT_EQ(chat.kind, completion.kind) << members;
  EXPECT_EQ(chat.text, completion.text) << members;
  EXPECT_EQ(chat.path, completion.path) << members;
  return chat;
}

std::string chat_error(const std::string& members) {
  const auto request = parse_chat_request(fmt::format("{{{},{}}}", kChat, members));
  EXPECT_FALSE(request) << members.substr(0, 100);
  return request ? "" : request.error().message;
}

TEST(OutputFormat, KeepsWhatIsAskedFor) {
  struct Asked {
    const char* members;
    Kind kind;
    const char* text;
    const char* path;
  };
  // The keys of a schema stay in their order: it is the one that the answer will have.
  const Asked cases[] = {
      {R"("response_format": {"type": "text"})", Kind::kText, "", ""},
      {R"("response_format": {"type": "json_object"})", Kind::kJsonObject, "",
       "response_format.type"},
      {R"("response_format": {"type": "json_object", "schema": {}})", Kind::kJsonObject, "",
       "response_format.type"},
      {R"("response_format": {"type": "json_object", "schema": {"z": 1, "a": 2}})",
       Kind::kJsonSchema, R"({"z":1,"a":2})", "response_format.schema"},
      {R"("response_format": {"type": "json_schema", "json_schema": {"schema": {"z": 1, "a": 2}}})",
       Kind::kJsonSchema, R"({"z":1,"a":2})", "response_format.json_schema.schema"},
      {R"("response_format": {"type": "json_schema", "schema": {"z": "\u00f6"}})",
       Kind::kJsonSchema, "{\"z\":\"\xc3\xb6\"}", "response_format.schema"},
      {R"("structured_outputs": {"json": {"z": 1}})", Kind::kJsonSchema, R"({"z":1})",
       "structured_outputs.json"},
      {R"("structured_outputs": {"json": "{ \"z\": 1 }"})", Kind::kJsonSchema, R"({"z":1})",
       "structured_outputs.json"},
      {R"("structured_outputs": {"regex": "a+"})", Kind::kRegex, "a+", "structured_outputs.regex"},
      {R"("structured_outputs": {"grammar": "root ::= \"a\""})", Kind::kGrammar, "root ::= \"a\"",
       "structured_outputs.grammar"},
      {R"("structured_outputs": {"json_object": true})", Kind::kJsonObject, "",
       "structured_outputs.json_object"},
      {R"("guided_json": {"z": 1})", Kind::kJsonSchema, R"({"z":1})", "guided_json"},
      {R"("guided_regex": "a")", Kind::kRegex, "a", "guided_regex"},
      {R"("guided_grammar": "g")", Kind::kGrammar, "g", "guided_grammar"},
      {R"("json_schema": {"z": 1})", Kind::kJsonSchema, R"({"z":1})", "json_schema"},
      {R"("grammar": "g")", Kind::kGrammar, "g", "grammar"},
      {R"("grammar": "")", Kind::kText, "", ""},
  };
  for (const Asked& asked : cases) {
    const OutputFormat format = chat_format(asked.members);
    EXPECT_EQ(format.kind, asked.kind) << asked.members;
    EXPECT_EQ(format.text, asked.text) << asked.members;
    EXPECT_EQ(format.path, asked.path) << asked.members;
    EXPECT_TRUE(format.choices.empty()) << asked.members;
  }
}

TEST(OutputFormat, KeepsChoices) {
  for (const char* members : {R"("structured_outputs": {"choice": ["yes", "", "no"]})",
                              R"("guided_choice": ["yes", "", "no"])"}) {
    const OutputFormat format = chat_format(members);
    EXPECT_EQ(format.kind, Kind::kChoice);
    EXPECT_EQ(format.choices, (std::vector<std::string>{"yes", "", "no"}));
  }
}

TEST(OutputFormat, KeepsTheNameAndWhetherItIsStrict) {
  const OutputFormat strict = chat_format(
      R"("response_format": {"type": "json_schema",
         "json_schema": {"name": "A", "schema": {}, "strict": true}})");
  EXPECT_EQ(strict.name, "A");
  EXPECT_TRUE(strict.strict);
  const OutputFormat loose =
      chat_format(R"("response_format": {"type": "json_schema", "json_schema": {"schema": {}}})");
  EXPECT_EQ(loose.kind, Kind::kJsonSchema);
  EXPECT_EQ(loose.text, "{}");
  EXPECT_EQ(loose.name, "");
  EXPECT_FALSE(loose.strict);
}

TEST(OutputFormat, OfTheOtherApis) {
  const OutputFormat responses = format_of<parse_responses_request>(R"("model":"m","input":"Hi")",
                                                                    R"("text": {"format":
         {"type": "json_schema", "name": "A", "schema": {"z": 1}, "strict": true}})");
  EXPECT_EQ(responses.kind, Kind::kJsonSchema);
  EXPECT_EQ(responses.text, R"({"z":1})");
  EXPECT_EQ(responses.name, "A");
  EXPECT_TRUE(responses.strict);
  EXPECT_EQ(responses.path, "text.format.schema");
  const std::string base =
      R"("model":"m","max_tokens":64,"messages":[{"role":"user","content":"Hi"}])";
  const OutputFormat anthropic = format_of<parse_messages_request>(
      base, R"("output_config": {"format": {"type": "json_schema", "schema": {"z": 1}}})");
  EXPECT_EQ(anthropic.kind, Kind::kJsonSchema);
  EXPECT_EQ(anthropic.text, R"({"z":1})");
  EXPECT_TRUE(anthropic.strict);
  EXPECT_EQ(anthropic.path, "output_config.format.schema");
  const OutputFormat beta = format_of<parse_messages_request>(
      base, R"("output_format": {"type": "json_schema", "schema": {"z": 1}})");
  EXPECT_EQ(beta.path, "output_format.schema");
}

std::string text_of(size_t bytes) { return std::string(bytes, 'a'); }

// {"a":"aaa…"} of `bytes`
std::string schema_of(size_t bytes) { return R"({"a":")" + text_of(bytes - 8) + "\"}"; }

TEST(OutputFormat, HasLimits) {
  EXPECT_EQ(chat_format("\"guided_json\": " + schema_of(kMaxSchemaBytes)).text.size(),
            kMaxSchemaBytes);
  EXPECT_EQ(chat_error("\"guided_json\": " + schema_of(kMaxSchemaBytes + 1)),
            "guided_json must have at most 1048576 bytes, got 1048577");
  EXPECT_EQ(chat_error("\"response_format\": {\"type\": \"json_schema\", \"json_schema\": "
                       "{\"schema\": " +
                       schema_of(kMaxSchemaBytes + 1) + "}}"),
            "response_format.json_schema.schema must have at most 1048576 bytes, got 1048577");
  EXPECT_EQ(chat_format("\"guided_regex\": \"" + text_of(kMaxGrammarBytes) + "\"").kind,
            Kind::kRegex);
  EXPECT_EQ(chat_error("\"guided_regex\": \"" + text_of(kMaxGrammarBytes + 1) + "\""),
            "guided_regex must have at most 1048576 bytes, got 1048577");
  EXPECT_EQ(chat_error("\"grammar\": \"" + text_of(kMaxGrammarBytes + 1) + "\""),
            "grammar must have at most 1048576 bytes, got 1048577");
  std::string choices = "\"x\"";
  for (size_t i = 1; i < kMaxFormatChoices; ++i) choices += ",\"x\"";
  EXPECT_EQ(chat_format("\"guided_choice\": [" + choices + "]").choices.size(), kMaxFormatChoices);
  EXPECT_EQ(chat_error("\"guided_choice\": [" + choices + ",\"x\"]"),
            "guided_choice must have at most 1024 elements, got 1025");
  EXPECT_EQ(chat_error("\"guided_choice\": [\"" + text_of(kMaxChoiceBytes + 1) + "\"]"),
            "guided_choice[0] must have at most 4096 bytes, got 4097");
}

// A schema in a text is held to what holds for the request itself.
TEST(OutputFormat, RefusesAHostileSchemaInAText) {
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += R"({\"a\":)";
  for (const std::string& text : {std::string(100'000, '['), deep,
                                  std::string(R"({\"a\":1,\"a\":2})"), std::string("{} x")}) {
    const std::string message = chat_error("\"guided_json\": \"" + text + "\"");
    EXPECT_TRUE(message.starts_with("guided_json must be a JSON schema or the text of one: "))
        << message;
    EXPECT_LT(message.size(), 300u);
  }
}

}  // namespace
}  // namespace hachi::api
