// Whatever the model says and however the text is cut into tokens, stops and thoughts: a stream
// adds up to the answer that comes whole, and both to what a plain reading of the tokens gives.
#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/random.h"
#include "server/fake_server.h"
#include "server/http_talk.h"

namespace hachi::server::testing {
namespace {

class Dice {
 public:
  explicit Dice(uint64_t seed) : seed_(seed) {}
  size_t below(size_t count) {
    return static_cast<size_t>(uniform(seed_, count_++) * static_cast<double>(count));
  }
  bool one_in(size_t count) { return below(count) == 0; }

 private:
  uint64_t seed_;
  uint64_t count_ = 0;
};

struct Case {
  std::vector<int32_t> tokens;
  std::vector<std::string> stops;
  int thinking = -1;  // enable_thinking: -1: not said
  bool logprobs = false;
  bool include_reasoning = true;
  bool skip_special = true;
  int64_t max_tokens = 0;  // 0: not said
  int64_t n = 1;

  std::string stop_fields() const {
    std::string out =
        fmt::format(R"("temperature":0,"n":{},"skip_special_tokens":{})", n, skip_special);
    if (!stops.empty()) {
      boost::json::array list(stops.begin(), stops.end());
      out += ",\"stop\":" + boost::json::serialize(list);
    }
    if (max_tokens > 0) out += fmt::format(",\"max_tokens\":{}", max_tokens);
    return out;
  }
  std::string chat_fields() const {
    std::string out = stop_fields() + fmt::format(R"(,"include_reasoning":{})", include_reasoning);
    if (logprobs) out += R"(,"logprobs":true,"top_logprobs":2)";
    if (thinking >= 0) {
      out += fmt::format(R"(,"chat_template_kwargs":{{"enable_thinking":{}}})", thinking == 1);
    }
    return out;
  }
  std::string_view start() const {
    if (thinking < 0) return kPlainStart;
    return thinking == 1 ? kThinkingStart : "assistant\n<think>\n\n</think>\n\n";
  }
};

// Texts of few letters, so that stop texts and marks come about by chance.
std::string random_text(Dice& dice, size_t most) {
  constexpr const char* kParts[] = {"a",    "b",      "ab",      " ",          "\n",
                                    "\n\n", "<",      "<think>", "</think>",   "</thin",
                                    ">",    "\u201c", "\u00f6",  "\U0001F600", "the"};
  std::string text;
  for (size_t i = 1 + dice.below(most); i > 0; --i) text += kParts[dice.below(std::size(kParts))];
  return text;
}

Case random_case(const tokenizer::Tokenizer& tokenizer, uint64_t seed) {
  Dice dice(seed);
  Case one;
  for (size_t i = 1 + dice.below(6); i > 0; --i) {
    if (dice.one_in(6)) {
      one.tokens.push_back(static_cast<int32_t>(dice.below(256)));  // a byte of any text
    } else if (dice.one_in(8)) {
      one.tokens.push_back(*tokenizer.id("<|endoftext|>"));
    } else {
      const std::string text = random_text(dice, 6);
      const bool by_byte = dice.one_in(2);
      for (size_t at = 0; at < text.size(); at += by_byte ? 1 : text.size()) {
        if (by_byte) {
          // Bytes of their own tokens, also those of marks and of parts of characters.
          one.tokens.push_back(*tokenizer.id(byte_character(static_cast<uint8_t>(text[at]))));
        } else {
          const auto tokens = tokenizer.encode(text);
          one.tokens.insert(one.tokens.end(), tokens.begin(), tokens.end());
        }
      }
    }
  }
  for (size_t i = dice.below(3); i > 0; --i) one.stops.push_back(random_text(dice, 3));
  one.thinking = static_cast<int>(dice.below(3)) - 1;
  one.logprobs = dice.one_in(2);
  one.include_reasoning = !dice.one_in(4);
  one.skip_special = !dice.one_in(3);
  if (dice.one_in(4)) one.max_tokens = static_cast<int64_t>(1 + dice.below(one.tokens.size()));
  one.n = static_cast<int64_t>(1 + dice.below(3));
  return one;
}

struct Wanted {
  std::string text;  // all of it
  std::string content, reasoning;
  std::string finish = "stop";
  size_t num_tokens = 0;
};

std::string without_space(std::string text) {
  return text.erase(0, std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

void split_thinking(Wanted& wanted, int thinking) {
  std::string rest = wanted.text;
  wanted.content = rest;
  if (thinking == 0) return;
  if (thinking < 0) {
    rest = without_space(rest);
    if (!rest.starts_with("<think>")) return;
    rest.erase(0, 7);
  }
  rest = without_space(rest);
  const size_t end = rest.find("</think>");
  wanted.reasoning = rest.substr(0, end);
  wanted.content = end == rest.npos ? "" : without_space(rest.substr(end + 8));
}

// Token by token, and the whole text looked at each time.
Wanted wanted_of(const tokenizer::Tokenizer& tokenizer, const Case& one) {
  Wanted wanted;
  tokenizer::StreamDecoder decoder(tokenizer, one.skip_special);
  const auto cut = [&] {
    size_t first = std::string::npos;
    for (const std::string& stop : one.stops) first = std::min(first, wanted.text.find(stop));
    if (first == std::string::npos) return false;
    wanted.text.resize(first);
    return true;
  };
  bool is_cut = false;
  for (const int32_t token : one.tokens) {
    if (one.max_tokens > 0 && wanted.num_tokens == static_cast<size_t>(one.max_tokens)) break;
    ++wanted.num_tokens;
    wanted.text += decoder.push(token);
    is_cut = cut();
    if (is_cut) break;
  }
  if (!is_cut) {
    // The last token that is allowed ends the answer, whatever would come next.
    if (static_cast<int64_t>(wanted.num_tokens) == one.max_tokens) wanted.finish = "length";
    wanted.text += decoder.finish();
    if (cut()) wanted.finish = "stop";
  }
  split_thinking(wanted, one.thinking);
  if (!one.include_reasoning) wanted.reasoning.clear();
  return wanted;
}

std::string text_at(const boost::json::value& object, std::string_view name) {
  const auto* text = object.as_object().if_contains(name);
  return text == nullptr ? std::string() : std::string(text->as_string());
}

TEST(StreamedText, OfConversationsAddsUpToTheWhole) {
  FakeServer server;
  for (uint64_t seed = 0; seed < 400 && !::testing::Test::HasFailure(); ++seed) {
    const Case one = random_case(server.tokenizer(), seed);
    const std::string fields = one.chat_fields();
    SCOPED_TRACE(
        fmt::format("case {}: {} says {}", seed, fields, server.tokenizer().decode(one.tokens)));
    server.say_tokens(one.tokens, one.start());
    const Wanted wanted = wanted_of(server.tokenizer(), one);

    const Reply reply = chat(server.port(), "Hello", fields);
    ASSERT_EQ(reply.status, 200) << reply.body;
    const auto whole = reply.json();
    const StreamedChat stream =
        read_stream(chat(server.port(), "Hello",
                         fields + R"(,"stream":true,"stream_options":{"include_usage":true})"));
    EXPECT_TRUE(stream.is_done);
    ASSERT_EQ(stream.choices.size(), static_cast<size_t>(one.n));
    for (size_t i = 0; i < stream.choices.size(); ++i) {
      const auto& choice = whole.at("choices").at(i);
      const auto& message = choice.at("message");
      const StreamedChoice& streamed = stream.choices[i];
      EXPECT_EQ(message.at("content").as_string(), wanted.content);
      EXPECT_EQ(streamed.content, wanted.content);
      EXPECT_EQ(text_at(message, "reasoning_content"), wanted.reasoning);
      EXPECT_EQ(streamed.reasoning, wanted.reasoning);
      EXPECT_EQ(choice.at("finish_reason").as_string(), wanted.finish);
      EXPECT_EQ(streamed.finish, wanted.finish);
      if (!one.logprobs) continue;
      const auto& tokens = choice.at("logprobs").at("content").as_array();
      EXPECT_EQ(tokens.size(), wanted.num_tokens);
      ASSERT_EQ(streamed.logprob_tokens.size(), wanted.num_tokens);
      for (size_t t = 0; t < tokens.size(); ++t) {
        EXPECT_EQ(streamed.logprob_tokens[t], text_at(tokens[t], "token"));
      }
    }
    ASSERT_TRUE(stream.usage);
    EXPECT_EQ(stream.usage->at("completion_tokens").as_int64(),
              one.n * static_cast<int64_t>(wanted.num_tokens));
    EXPECT_EQ(whole.at("usage").at("completion_tokens"), stream.usage->at("completion_tokens"));
    EXPECT_EQ(whole.at("usage").at("completion_tokens_details"),
              stream.usage->at("completion_tokens_details"));
  }
}

TEST(StreamedText, OfCompletionsAddsUpToTheWhole) {
  FakeServer server;
  for (uint64_t seed = 1000; seed < 1300 && !::testing::Test::HasFailure(); ++seed) {
    Case one = random_case(server.tokenizer(), seed);
    one.thinking = 0;
    std::string fields = R"("model":"","prompt":"<|im_start|>assistant\n",)" + one.stop_fields();
    if (one.logprobs) fields += R"(,"logprobs":2)";
    if (one.max_tokens == 0) fields += ",\"max_tokens\":200";
    if (one.tokens.size() % 3 == 0) fields += R"(,"echo":true)";
    SCOPED_TRACE(
        fmt::format("case {}: {} says {}", seed, fields, server.tokenizer().decode(one.tokens)));
    server.say_tokens(one.tokens);
    Wanted wanted = wanted_of(server.tokenizer(), one);
    if (one.tokens.size() % 3 == 0) wanted.text = "<|im_start|>assistant\n" + wanted.text;

    const Reply reply = ask(server.port(), post("/v1/completions", "{" + fields + "}"));
    ASSERT_EQ(reply.status, 200) << reply.body;
    const auto whole = reply.json();
    const Reply streamed =
        ask(server.port(), post("/v1/completions", "{" + fields + R"(,"stream":true})"));
    std::vector<std::string> texts(static_cast<size_t>(one.n));
    std::vector<boost::json::array> tokens(texts.size()), offsets(texts.size());
    for (const std::string& data : streamed.events()) {
      if (data == "[DONE]") continue;
      const auto chunk = boost::json::parse(data);
      for (const auto& choice : chunk.at("choices").as_array()) {
        const auto i = static_cast<size_t>(choice.at("index").as_int64());
        texts.at(i) += choice.at("text").as_string();
        if (!choice.at("logprobs").is_object()) continue;
        for (const auto& token : choice.at("logprobs").at("tokens").as_array()) {
          tokens[i].push_back(token);
        }
        for (const auto& offset : choice.at("logprobs").at("text_offset").as_array()) {
          offsets[i].push_back(offset);
        }
      }
    }
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto& choice = whole.at("choices").at(i);
      EXPECT_EQ(choice.at("text").as_string(), wanted.text);
      EXPECT_EQ(texts[i], wanted.text);
      EXPECT_EQ(choice.at("finish_reason").as_string(), wanted.finish);
      if (!one.logprobs) continue;
      EXPECT_EQ(tokens[i], choice.at("logprobs").at("tokens"));
      EXPECT_EQ(offsets[i], choice.at("logprobs").at("text_offset"));
    }
  }
}

// Text that is held back or left out is no reason to write.
TEST(StreamedText, SaysNothingWhereThereIsNothingToSay) {
  FakeServer server;
  server.say("<think>" + std::string(200, 'x') + "</think>y");
  const Reply reply = chat(server.port(), "Hello", R"("stream":true,"include_reasoning":false)");
  EXPECT_EQ(reply.events().size(), 4u) << reply.body;  // the role, y, the end, [DONE]
  EXPECT_EQ(reply.body.find(": still"), std::string::npos);
}

// The tokens of thoughts are those that come before the end of the thoughts is known, its mark
// among them.
TEST(Usage, CountsEachToken) {
  FakeServer server;
  struct Counted {
    const char* says;
    int64_t tokens, thinking;
    bool starts_thinking;
  };
  for (const Counted& one : {Counted{"xyz", 3, 0, false},
                             {"<think>xyz</think>vw", 7, 4, false},
                             {"xyz</think>vw", 6, 4, true},
                             {"xyz", 3, 3, true},
                             {"", 0, 0, false},
                             {"x<think>y</think>", 4, 0, false}}) {
    server.say(one.says, one.starts_thinking ? kThinkingStart : kPlainStart);
    std::string fields = "\"temperature\":0";
    if (one.starts_thinking) fields += R"(,"chat_template_kwargs":{"enable_thinking":true})";
    const auto whole = chat(server.port(), "Hello", fields).json();
    const auto& usage = whole.at("usage");
    EXPECT_EQ(usage.at("completion_tokens").as_int64(), one.tokens) << one.says;
    EXPECT_EQ(usage.at("completion_tokens_details").at("reasoning_tokens").as_int64(), one.thinking)
        << one.says;
    // <|im_start|> user \n Hello <|im_end|> \n <|im_start|> assistant \n
    const auto prompt = static_cast<int64_t>(
        server.tokenizer()
            .encode("<|im_start|>user\nHello<|im_end|>\n<|im_start|>" +
                    std::string(one.starts_thinking ? kThinkingStart : kPlainStart))
            .size());
    EXPECT_EQ(usage.at("prompt_tokens").as_int64(), prompt);
    EXPECT_EQ(usage.at("total_tokens").as_int64(), prompt + one.tokens);
  }
}

}  // namespace
}  // namespace hachi::server::testing
