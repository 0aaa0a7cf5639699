// Budgets of thinking, grammars behind it, and calls, with a model that says what it is told to.
#include "output/automaton.h"

#include <gtest/gtest.h>

#include "core/utf8.h"
#include "output/output_fixture.h"

namespace hachi::output {
namespace {

using testing::kEnd;
using testing::ListGrammar;
using testing::marked_tokenizer;
using testing::plain_tokenizer;
using testing::Said;
using testing::Speaker;

const std::vector<std::string> kTexts = {"{\"x\": 1}", "{\"x\": 12}", "{\"y\": \"word\"}"};

struct Stage {
  explicit Stage(tokenizer::Tokenizer one)
      : tokenizer(std::move(one)),
        table(std::make_shared<const TokenTable>(tokenizer, tokenizer.vocab_size())) {}

  ConstraintOptions options(std::string_view prompt, int64_t budget = kNoBudget) const {
    return {.automaton = {.fields = {.prompt = prompt, .calls = chat::ToolStyle::kHermes},
                          .thinking_budget = budget,
                          .closing = "\n\nEnough."},
            .stop_ids = {*tokenizer.id(kEnd)}};
  }
  ConstraintOptions with_grammar(ConstraintOptions options, std::vector<std::string> texts) const {
    options.grammar = [this, texts = std::move(texts)] {
      return std::make_unique<ListGrammar>(*table, texts,
                                           std::vector<TokenId>{*tokenizer.id(kEnd)});
    };
    return options;
  }

  using TokenId = tokenizer::TokenId;
  tokenizer::Tokenizer tokenizer;
  std::shared_ptr<const TokenTable> table;
};

bool is_one_of(const std::string& text, const std::vector<std::string>& texts) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

std::string thoughts(int words) {
  std::string text;
  for (int i = 0; i < words; ++i) text += " words";
  return text;
}

TEST(Budget, ClosesTheThinkingAtTheToken) {
  for (auto* make : {marked_tokenizer, plain_tokenizer}) {
    const Stage stage(make());
    for (const int64_t budget : {0, 1, 7, 128}) {
      Speaker speaker(stage.tokenizer, thoughts(200) + "</think>\n\nNo.");
      const Said said = speaker.say(stage.options("<think>\n", budget), 400);
      EXPECT_TRUE(said.budget_spent);
      const std::string closing = budget == 0 ? "\n</think>\n\n" : "\n\nEnough.\n</think>\n\n";
      // " words" is one token. What the model goes on with stands behind the mark.
      const std::string begin = thoughts(static_cast<int>(budget)) + closing;
      EXPECT_TRUE(said.raw.starts_with(begin)) << said.raw;
      EXPECT_EQ(said.reasoning, budget == 0 ? "" : begin.substr(1, begin.find("</think>") - 1));
      EXPECT_TRUE(said.content.starts_with("words words")) << said.content;
    }
  }
}

TEST(Budget, IsNotSpentByThinkingThatEndsInTime) {
  const Stage stage(marked_tokenizer());
  for (const int64_t budget : {int64_t{5}, int64_t{8}, kNoBudget}) {
    Speaker speaker(stage.tokenizer, thoughts(4) + "</think>\n\n4");
    const Said said = speaker.say(stage.options("<think>\n", budget));
    EXPECT_FALSE(said.budget_spent);
    EXPECT_EQ(said.content, "4");
    EXPECT_TRUE(said.ended);
  }
}

TEST(Budget, LetsTheModelOpenTheThinkingAndCountsFromThere) {
  const Stage stage(marked_tokenizer());
  Speaker speaker(stage.tokenizer, "<think>" + thoughts(20));
  const Said said = speaker.say(stage.options("assistant", 3), 40);
  EXPECT_TRUE(said.raw.starts_with("<think>" + thoughts(3) + "\n\nEnough.\n</think>\n\n"));

  // Without a budget there is nothing to open.
  Speaker none(stage.tokenizer, "No.");
  const Said empty = none.say(stage.options("assistant", 0));
  EXPECT_EQ(empty.raw, "<think>\n\n</think>\n\nNo.");
  EXPECT_EQ(empty.reasoning, "");
  EXPECT_EQ(empty.content, "No.");

  // A model that does not think is left alone, and so is one whose thinking is closed.
  ConstraintOptions options = stage.options("assistant", 0);
  options.automaton.thinks = false;
  EXPECT_EQ(Speaker(stage.tokenizer, "No.").say(options).raw, "No.");
  EXPECT_EQ(Speaker(stage.tokenizer, "No.").say(stage.options("<think></think>", 0)).raw, "No.");
}

TEST(Budget, NeverCutsACharacter) {
  const Stage stage(marked_tokenizer());
  // Of these characters each byte is a token.
  for (const std::string text : {"a東京語", "ж€😀", "😀😀😀"}) {
    const auto tokens = stage.tokenizer.encode(text);
    for (int64_t budget = 1; budget <= static_cast<int64_t>(tokens.size()); ++budget) {
      for (uint64_t seed = 0; seed < 20; ++seed) {
        // It goes on as it likes, or wanders off in the middle of the character.
        std::vector<tokenizer::TokenId> wish = tokens;
        if (seed > 0) wish.resize(static_cast<size_t>(budget));
        Speaker speaker(stage.tokenizer, wish, seed);
        const Said said = speaker.say(stage.options("<think>\n", budget), 60);
        EXPECT_TRUE(said.budget_spent);
        const size_t at = said.raw.find("\n\nEnough.\n</think>");
        ASSERT_NE(at, std::string::npos) << budget;
        EXPECT_EQ(complete_utf8_prefix(said.raw.substr(0, at)), at);
        int64_t num_tokens = 0;
        for (size_t size = 0; size < at; ++num_tokens) {
          size += stage.tokenizer.token_bytes(said.tokens[static_cast<size_t>(num_tokens)]).size();
        }
        EXPECT_LE(num_tokens, budget + 3);
        EXPECT_TRUE(seed > 0 || text.starts_with(said.raw.substr(0, at))) << said.raw;
      }
    }
  }
}

TEST(Budget, FinishesTheMarkThatTheModelHasBegun) {
  const Stage stage(plain_tokenizer());
  const auto tokens = stage.tokenizer.encode("so </think>\n\n4");
  const auto before = stage.tokenizer.encode("so ");
  for (int64_t budget = 1; budget <= 8; ++budget) {
    Speaker speaker(stage.tokenizer, tokens);
    const Said said = speaker.say(stage.options("<think>\n", budget), 40);
    EXPECT_EQ(said.raw.find("</think>", said.raw.find("</think>") + 1),
              said.raw.find("</think>\n\n", said.raw.find("</think>") + 1));
    EXPECT_EQ(said.reasoning.find("</"), std::string::npos) << budget << said.reasoning;
  }
}

TEST(Grammar, HoldsTheAnswerAndNotTheThinking) {
  for (auto* make : {marked_tokenizer, plain_tokenizer}) {
    const Stage stage(make());
    for (const std::string wish :
         {"I think {1}</think>\n\n{\"x\": 12}", "I think</think>{\"x\": 12}", "</think>no",
          "I think of nothing", "</think>{no", "a</think>\n\n{\"y\": 3}"}) {
      for (uint64_t seed = 0; seed < 10; ++seed) {
        for (const int64_t budget : {int64_t{30}, int64_t{1}, int64_t{0}}) {
          Speaker speaker(stage.tokenizer, wish, seed);
          const Said said =
              speaker.say(stage.with_grammar(stage.options("<think>\n", budget), kTexts));
          EXPECT_TRUE(said.ended) << said.raw;
          EXPECT_TRUE(is_one_of(said.content, kTexts)) << said.raw;
          EXPECT_NE(said.raw.find("</think>\n\n{"), std::string::npos) << said.raw;
        }
      }
    }
    const Said kept = Speaker(stage.tokenizer, "I think {1}</think>\n\n{\"x\": 12}")
                          .say(stage.with_grammar(stage.options("<think>\n"), kTexts));
    EXPECT_EQ(kept.reasoning, "I think {1}");
    EXPECT_EQ(kept.content, "{\"x\": 12}");
    EXPECT_FALSE(kept.budget_spent);
  }
}

TEST(Grammar, BeginsAtOnceWhereNothingIsThought) {
  const Stage stage(marked_tokenizer());
  const auto say = [&](std::string_view prompt, bool thinks, std::string_view wish) {
    ConstraintOptions options = stage.with_grammar(stage.options(prompt), kTexts);
    options.automaton.thinks = thinks;
    return Speaker(stage.tokenizer, wish, 3).say(options);
  };
  EXPECT_EQ(say("<think>\n\n</think>\n\n", true, "{\"x\": 1").content, "{\"x\": 1}");
  EXPECT_EQ(say("assistant", false, "{\"x\": 1").raw, "{\"x\": 1}");
  EXPECT_TRUE(is_one_of(say("assistant", false, "<think>x").raw, kTexts));
  // Who may think chooses.
  EXPECT_EQ(say("assistant", true, "{\"y\"").raw, "{\"y\": \"word\"}");
  const Said thought = say("assistant", true, "<think>so</think>\n\n{\"x\": 12}");
  EXPECT_EQ(thought.reasoning, "so");
  EXPECT_EQ(thought.content, "{\"x\": 12}");
}

// tool_choice required: the opening is forced as tokens, special ones too, the rest is matched.
TEST(Grammar, FollowsAForcedOpening) {
  const Stage stage(marked_tokenizer());
  const std::vector<std::string> calls = {"f\", \"arguments\": {}}\n</tool_call>",
                                          "g\", \"arguments\": {\"a\": 1}}\n</tool_call>"};
  for (const std::string_view prompt : {"<think>\n", "<think></think>", "assistant"}) {
    for (const int64_t budget : {int64_t{0}, int64_t{1}, int64_t{7}, int64_t{128}, kNoBudget}) {
      for (uint64_t seed = 0; seed < 10; ++seed) {
        ConstraintOptions options = stage.with_grammar(stage.options(prompt, budget), calls);
        options.opening = "<tool_call>\n{\"name\": \"";
        const std::string wish = prompt == "assistant" ? "<think> I</think> no" : "I</think> no";
        const Said said = Speaker(stage.tokenizer, wish, seed).say(options);
        EXPECT_TRUE(said.ended);
        EXPECT_EQ(said.content, "");
        ASSERT_EQ(said.names.size(), 1u) << said.raw;
        EXPECT_EQ(said.arguments[0], said.names[0] == "f" ? "{}" : "{\"a\": 1}");
        EXPECT_EQ(
            std::count(said.tokens.begin(), said.tokens.end(), *stage.tokenizer.id("<tool_call>")),
            1);
      }
    }
  }
  ConstraintOptions mistral = stage.with_grammar(
      stage.options("<think></think>"), {"f\", \"arguments\": {}}]", "g\", \"arguments\": {}}]"});
  mistral.automaton.fields.calls = chat::ToolStyle::kMistral;
  mistral.opening = "[TOOL_CALLS] [{\"name\": \"";
  const Said said = Speaker(stage.tokenizer, "g").say(mistral);
  EXPECT_EQ(said.tokens.front(), *stage.tokenizer.id("[TOOL_CALLS]"));
  EXPECT_EQ(said.names, std::vector<std::string>{"g"});
  EXPECT_EQ(said.arguments, std::vector<std::string>{"{}"});
}

// tool_choice auto with strict arguments: text is free, calls are not.
TEST(Grammar, BeginsAtEachCall) {
  for (auto* make : {marked_tokenizer, plain_tokenizer}) {
    const Stage stage(make());
    const std::string opening = "\n{\"name\": \"";
    ConstraintOptions options =
        stage.with_grammar(stage.options("<think></think>"),
                           {opening + "f\", \"arguments\": {}}\n</tool_call>",
                            opening + "g\", \"arguments\": {\"a\": 1}}\n</tool_call>"});
    options.opening = opening;
    options.trigger = "<tool_call>";
    options.at_calls = true;
    EXPECT_EQ(Speaker(stage.tokenizer, "Free < text.").say(options).content, "Free < text.");
    for (uint64_t seed = 0; seed < 20; ++seed) {
      // In the second one a token reaches over the end of the trigger, and cannot come.
      for (const std::string between : {"\n", ""}) {
        const std::string wish = "I look.\n<tool_call>" + between + "{\"name\": \"h\"}</tool_call>";
        const Said said = Speaker(stage.tokenizer, wish, seed).say(options, 200);
        EXPECT_TRUE(!said.names.empty() || between.empty()) << said.raw;
        EXPECT_TRUE(said.content.starts_with("I look.")) << said.raw;
        for (size_t i = 0; i < said.names.size(); ++i) {
          EXPECT_NE(said.names[i], "h");
          EXPECT_EQ(said.arguments[i], said.names[i] == "f" ? "{}" : "{\"a\": 1}");
        }
      }
    }
    options.one_call = true;
    const Said one = Speaker(stage.tokenizer, "<tool_call>").say(options);
    EXPECT_TRUE(one.ended);
    EXPECT_EQ(one.names.size(), 1u);
    EXPECT_TRUE(one.raw.ends_with("</tool_call>"));
  }
}

// Whatever a model says, what goes out piece by piece is what goes out at once.
TEST(AnswerText, IsTheSameHoweverItIsStreamed) {
  const Stage stage(marked_tokenizer());
  const std::string raw =
      "<think>\nIs größe 東京?</think>\n\nI look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": "
      "{\"x\": \"größe\"}}\n</tool_call>";
  const Said said = Speaker(stage.tokenizer, raw).say(stage.options(""));
  EXPECT_EQ(said.raw, raw);
  EXPECT_EQ(said.reasoning, "Is größe 東京?");
  EXPECT_EQ(said.content, "I look.");
  EXPECT_EQ(said.names, std::vector<std::string>{"f"});
  EXPECT_EQ(said.arguments, std::vector<std::string>{"{\"x\": \"größe\"}"});
  EXPECT_FALSE(said.broken_off);
  const std::string cut = raw.substr(0, raw.find("größe\"}}"));
  EXPECT_TRUE(Speaker(stage.tokenizer, cut).say(stage.options("")).broken_off);
}

TEST(AnswerText, ShowsSpecialMarksAndNoOthers) {
  const Stage stage(marked_tokenizer());
  AnswerText text(stage.tokenizer,
                  {.automaton = {.fields = {.prompt = "", .calls = chat::ToolStyle::kMistral}}});
  std::vector<Piece> pieces;
  Said said;
  for (const auto token :
       stage.tokenizer.encode("a<|end|>b[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {}}]")) {
    text.push(token, pieces);
  }
  text.finish(pieces);
  testing::add(said, pieces);
  EXPECT_EQ(said.content, "ab");
  EXPECT_EQ(said.names, std::vector<std::string>{"f"});
}

TEST(AnswerText, StopsWhereverTheTextStands) {
  const Stage stage(marked_tokenizer());
  const auto through = [&](const std::string& stop) {
    AnswerText text(stage.tokenizer,
                    {.automaton = {.fields = {.prompt = "<think>"}}, .stops = {stop}});
    std::vector<Piece> pieces;
    Said said;
    for (const auto token : stage.tokenizer.encode("one two</think>\n\nthree four")) {
      if (!text.stopped()) text.push(token, pieces);
    }
    text.finish(pieces);
    testing::add(said, pieces);
    EXPECT_TRUE(text.stopped());
    return said.reasoning + "|" + said.content;
  };
  EXPECT_EQ(through("two"), "one |");
  EXPECT_EQ(through("</think>"), "one two|");
  EXPECT_EQ(through("\n\nthree"), "one two|");
  EXPECT_EQ(through("four"), "one two|three ");
}

}  // namespace
}  // namespace hachi::output
