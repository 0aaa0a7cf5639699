// Answers under a grammar and a budget through the engine: with a model that says anything, alone
// and beside others, guessed ahead or not.
#include <map>

#include <gtest/gtest.h>

#include "engine/engine_fixture.h"
#include "output/output_fixture.h"

namespace hachi::output {
namespace {

using engine::testing::FakeModel;
using engine::testing::FakeModelOptions;
using testing::kEnd;
using testing::ListGrammar;
using testing::Said;

const std::vector<std::string> kCalls = {"f\", \"arguments\": {}}\n</tool_call>",
                                         "g\", \"arguments\": {\"a\": \"größe\"}}\n</tool_call>"};
const std::vector<std::string> kTexts = {"{\"x\": 1}", "{\"x\": 12}", "{\"y\": \"word\"}"};

class EngineOutput : public ::testing::TestWithParam<int64_t> {
 protected:
  struct Ask {
    AutomatonOptions automaton;
    std::vector<std::string> texts;  // that the grammar allows; none: no grammar
    std::string opening;
    uint64_t seed;
  };

  ConstraintOptions options(const Ask& ask) const {
    ConstraintOptions options{.automaton = ask.automaton, .stop_ids = {end_}};
    options.opening = ask.opening;
    if (!ask.texts.empty()) {
      options.grammar = [this, texts = ask.texts] {
        return std::make_unique<ListGrammar>(*table_, texts, std::vector<tokenizer::TokenId>{end_});
      };
    }
    return options;
  }

  engine::Request request(const Ask& ask) const {
    return {.prompt = {1, 2, 3},
            .sampling = {.temperature = ask.seed % 3 == 0 ? 0.0 : 1.0, .seed = ask.seed},
            .max_tokens = 400,
            .stop_ids = {end_}};
  }

  Said read(const Ask& ask, engine::Stream& stream) const {
    Said said;
    const auto answer = engine::testing::read(stream);
    AnswerText text(tokenizer_, {.automaton = ask.automaton});
    std::vector<Piece> pieces;
    for (const auto token : answer.tokens()) {
      text.push(token, pieces);
      said.raw += tokenizer_.token_bytes(token);
    }
    text.finish(pieces);
    testing::add(said, pieces);
    said.tokens = answer.tokens();
    said.ended = answer.finish == engine::Finish::kStop;
    said.budget_spent = text.is_budget_spent();
    return said;
  }

  std::unique_ptr<engine::Engine> make_engine() const {
    // Room for few sequences at a time, so that some are put back.
    const FakeModelOptions model{
        .vocab_size = table_->vocab_size(), .context_length = 512, .num_pages = 300};
    return std::make_unique<engine::Engine>(
        std::make_unique<FakeModel>(model),
        engine::EngineOptions{
            .scheduler = {.max_sequences = 6, .step_tokens = 64, .page_tokens = 4},
            .stream_events = 500,
            .guess_tokens = GetParam()});
  }

  tokenizer::Tokenizer tokenizer_ = testing::marked_tokenizer();
  tokenizer::TokenId end_ = *tokenizer_.id(kEnd);
  std::shared_ptr<const TokenTable> table_ =
      std::make_shared<const TokenTable>(tokenizer_, tokenizer_.vocab_size());
};

TEST_P(EngineOutput, IsAlwaysWellFormed) {
  const auto engine = make_engine();
  std::vector<Ask> asks;
  for (const std::string_view prompt : {"<think>\n", "assistant", "<think></think>"}) {
    for (const int64_t budget : {0, 1, 7, 128}) {
      AutomatonOptions automaton{.fields = {.prompt = prompt, .calls = chat::ToolStyle::kHermes},
                                 .thinking_budget = budget};
      asks.push_back({automaton, kTexts, "", asks.size()});
      asks.push_back({automaton, kCalls, "<tool_call>\n{\"name\": \"", asks.size()});
    }
  }
  std::vector<std::shared_ptr<engine::Stream>> streams;
  for (const Ask& ask : asks) {
    auto stream =
        engine->submit(request(ask), std::make_unique<AnswerConstraint>(table_, options(ask)));
    ASSERT_TRUE(stream);
    streams.push_back(*std::move(stream));
  }
  for (size_t i = 0; i < asks.size(); ++i) {
    const Said said = read(asks[i], *streams[i]);
    EXPECT_TRUE(said.ended) << said.raw;
    if (asks[i].opening.empty()) {
      EXPECT_NE(std::find(kTexts.begin(), kTexts.end(), said.content), kTexts.end()) << said.raw;
    } else {
      EXPECT_EQ(said.content, "");
      ASSERT_EQ(said.names.size(), 1u) << said.raw;
      EXPECT_EQ(said.arguments[0], said.names[0] == "f" ? "{}" : "{\"a\": \"größe\"}");
    }
    // The same alone, token by token.
    AnswerConstraint constraint(table_, options(asks[i]));
    const auto alone =
        engine::testing::answer_alone(request(asks[i]), table_->vocab_size(), 512, &constraint);
    EXPECT_EQ(said.tokens, alone.tokens()) << i;
  }
  EXPECT_TRUE(engine->stop_and_check());
}

INSTANTIATE_TEST_SUITE_P(GuessTokens, EngineOutput, ::testing::Values(0, 1, 5));

}  // namespace
}  // namespace hachi::output
