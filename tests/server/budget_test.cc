// Budgets of thinking on each endpoint: the thoughts end with them, and the answer behind has the
// form that was asked for, whole or streamed.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "output/automaton.h"
#include "server/fake_server.h"
#include "server/said.h"

namespace hachi::server::testing {
namespace {

// U+1F600, three tokens: F0 9F, 98, 80.
constexpr std::string_view kWideCharacter = "\xf0\x9f\x98\x80";
constexpr int64_t kWideTokens = 3;

constexpr std::string_view kObject = R"({"type":"object","additionalProperties":false,)"
                                     R"("properties":{"ok":{"type":"boolean"}},"required":["ok"]})";

enum class Form { kFree, kSchema, kCall };

struct Api {
  std::string path;
  std::string question;  // members of the request
  std::string schema;    // that ask for kObject
  std::string call;      // that ask for a call with arguments of kObject
  std::string budget;    // with {} for the number
  int64_t least;         // budget that it takes
  std::string thinks;    // that leave thinking and its budget to the model and the server
};

std::vector<Api> apis() {
  const std::string schema(kObject);
  return {
      {.path = "/v1/chat/completions",
       .question = R"("max_tokens":400,"messages":[{"role":"user","content":"Hello"}])",
       .schema = R"("response_format":{"type":"json_schema","json_schema":{"name":"s","schema":)" +
                 schema + "}}",
       .call =
           R"("tool_choice":"required","parallel_tool_calls":false,"tools":[{"type":"function","function":{"name":"look",)"
           R"("parameters":)" +
           schema + "}}]",
       .budget = R"("enable_thinking":true,"thinking_budget":{})",
       .least = 0,
       .thinks = R"("top_p":1)"},
      {.path = "/v1/responses",
       .question = R"("max_output_tokens":400,"input":"Hello")",
       .schema = R"("text":{"format":{"type":"json_schema","name":"s","schema":)" + schema + "}}",
       .call =
           R"("tool_choice":"required","parallel_tool_calls":false,"tools":[{"type":"function","name":"look",)"
           R"("parameters":)" +
           schema + "}]",
       .budget = R"("enable_thinking":true,"reasoning":{{"max_tokens":{}}})",
       .least = 0,
       .thinks = R"("top_p":1)"},
      {.path = "/v1/messages",
       .question = R"("max_tokens":400,"messages":[{"role":"user","content":"Hello"}])",
       .schema = R"("output_config":{"format":{"type":"json_schema","schema":)" + schema + "}}",
       .call =
           R"("tool_choice":{"type":"any","disable_parallel_tool_use":true},"tools":[{"name":"look","input_schema":)" +
           schema + "}]",
       .budget = R"("thinking":{{"type":"enabled","budget_tokens":{}}})",
       .least = 1,
       .thinks = R"("thinking":{"type":"adaptive"})"},
  };
}

std::string request(const Api& api, Form form, const std::string& more) {
  std::string members = R"("model":"fake","temperature":0,)" + api.question + "," + more;
  if (form == Form::kSchema) members += "," + api.schema;
  if (form == Form::kCall) members += "," + api.call;
  return members;
}

bool is_of_schema(const std::string& text) {
  boost::system::error_code error;
  const auto value = boost::json::parse(text, error);
  const auto* object = value.if_object();
  return !error && object != nullptr && object->size() == 1 && object->contains("ok") &&
         object->at("ok").is_bool();
}

void expect_form(const Said& said, Form form) {
  if (form == Form::kSchema) {
    EXPECT_TRUE(is_of_schema(said.content)) << said.content;
  }
  EXPECT_EQ(said.name, form == Form::kCall ? "look" : "");
  if (form != Form::kCall) return;
  EXPECT_TRUE(is_of_schema(said.arguments)) << said.arguments;
  EXPECT_EQ(said.content, "");
}

// The thoughts of a model that says `character`, of so many tokens, without an end.
std::string thoughts_of(std::string_view character, int64_t tokens, int64_t budget) {
  std::string thoughts;
  for (int64_t count = 0; count < budget; count += tokens) thoughts += character;
  return budget == 0 ? thoughts : thoughts + std::string(output::kClosingWords) + "\n";
}

TEST(Budget, EndsThoughtsBeforeAnyForm) {
  for (const bool is_wide : {false, true}) {
    FakeServer server;
    const std::string_view character = is_wide ? kWideCharacter : "x";
    std::string says;
    for (int i = 0; i < 400; ++i) says += character;
    server.say(says, kThinkingStart);
    for (const Api& api : apis()) {
      for (const int64_t budget : {0, 1, 7, 128}) {
        if (budget < api.least) continue;
        for (const Form form : {Form::kFree, Form::kSchema, Form::kCall}) {
          const std::string members =
              request(api, form, fmt::format(fmt::runtime(api.budget), budget));
          SCOPED_TRACE(api.path + " " + members);
          const Said said = said_by(server.port(), api.path, members);
          EXPECT_EQ(said.reasoning, thoughts_of(character, is_wide ? kWideTokens : 1, budget));
          // The Responses API has no item to say it on where there are no thoughts.
          EXPECT_EQ(said.is_truncated, budget > 0 || api.path != "/v1/responses");
          expect_form(said, form);
          if (form == Form::kFree) {
            EXPECT_NE(said.content.find(character), std::string::npos) << said.content;
          }
        }
      }
    }
  }
}

TEST(Budget, OfTheServerHoldsWhereTheRequestHasNone) {
  FakeServer server({.change_parts = [](ModelParts& parts) { parts.thinking_budget = 7; }});
  // The model opens its thinking by itself; the line break is the first of its tokens.
  server.say("<think>\n" + std::string(400, 'x'), kPlainStart);
  const auto reasoning = [&](const Api& api, const std::string& more) {
    return said_by(server.port(), api.path, request(api, Form::kFree, more)).reasoning;
  };
  for (const Api& api : apis()) {
    EXPECT_EQ(reasoning(api, api.thinks), thoughts_of("x", 1, 6)) << api.path;
  }
  // What a request says counts more, also that there is no limit.
  const Api chat = apis().front();
  EXPECT_EQ(reasoning(chat, chat.thinks + R"(,"thinking_budget":3)"), thoughts_of("x", 1, 2));
  const std::string unlimited(398, 'x');
  EXPECT_EQ(reasoning(chat, chat.thinks + R"(,"thinking_budget":-1)"), unlimited);
  EXPECT_EQ(reasoning(chat, chat.thinks + R"(,"reasoning_effort":"high")"), unlimited);
}

// It is no matter of texts that are only gone on from.
TEST(Budget, OfTheServerLeavesCompletionsAlone) {
  FakeServer server({.change_parts = [](ModelParts& parts) { parts.thinking_budget = 0; }});
  FakeServer other;
  const auto completion = [](const FakeServer& one) {
    const Reply reply = ask(
        one.port(),
        post("/v1/completions",
             R"({"model":"fake","prompt":"<think>","max_tokens":20,"temperature":0,"seed":1})"));
    return std::string(reply.json().at_pointer("/choices/0/text").as_string());
  };
  EXPECT_EQ(completion(server), completion(other));
}

}  // namespace
}  // namespace hachi::server::testing
