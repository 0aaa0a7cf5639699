#include "api/completions.h"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "api/embeddings.h"
#include "api/models.h"
#include "api/sse.h"
#include "api/tokenize.h"

namespace hachi::api {
namespace {

const ResponseHead kHead = {"cmpl-1", 5, "m"};

boost::json::value parse(std::string_view text) { return boost::json::parse(text); }

TEST(CompletionRequest, ReadsPromptsInTheirFourForms) {
  using Ids = std::vector<int32_t>;
  const std::pair<std::string, std::vector<Prompt>> cases[] = {
      {R"("a")", {Prompt("a")}},
      {R"(["a", ""])", {Prompt("a"), Prompt("")}},
      {R"([1, 2e0])", {Prompt(Ids{1, 2})}},
      {R"([[1], "b", [2, 3]])", {Prompt(Ids{1}), Prompt("b"), Prompt(Ids{2, 3})}},
  };
  for (const auto& [text, prompts] : cases) {
    const auto request = parse_completion_request(R"({"model":"m","prompt":)" + text + "}");
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->prompts, prompts);
    EXPECT_EQ(request->max_tokens, kDefaultCompletionTokens);
    EXPECT_EQ(request->logprobs, std::nullopt);
    EXPECT_TRUE(request->add_special_tokens);
  }
}

TEST(CompletionRequest, LimitsPromptsAndChoices) {
  const auto request_with = [](size_t prompts, int n) {
    std::string text = R"({"model":"m","n":)" + std::to_string(n) + R"(,"prompt":["")";
    for (size_t i = 1; i < prompts; ++i) text += R"(,"")";
    return parse_completion_request(text + "]}");
  };
  EXPECT_TRUE(request_with(2048, 2));
  const auto too_many_choices = request_with(2048, 3);
  ASSERT_FALSE(too_many_choices);
  EXPECT_EQ(too_many_choices.error().message,
            "n times the 2048 prompts must be at most 4096, got 6144");
  const auto too_many_prompts = request_with(2049, 1);
  ASSERT_FALSE(too_many_prompts);
  EXPECT_EQ(too_many_prompts.error().message, "prompt must have at most 2048 prompts, got 2049");
}

TEST(CompletionResponse, HasOpenAisShapeWithEcho) {
  const TopLogprob top[] = {{"\xc3", -1.0f}, {"x", -2.0f}, {"x", -3.0f}};
  const TokenLogprob tokens[] = {
      {"Zo", 0, {}, false}, {"\xc3", -1.0f, top}, {"\xab", -0.25f, {}}, {"!", -4.0f, top}};
  CompletionChoice choice;
  choice.index = 3;
  choice.text = "Zoë!";
  choice.logprobs = CompletionLogprobs{tokens, 0};
  choice.finish_reason = FinishReason::kStop;
  std::string out;
  append_completion_response(out, kHead, {&choice, 1}, {3, 1, 0, 0});
  EXPECT_EQ(parse(out).at_pointer("/choices/0"), parse(R"({"index": 3, "text": "Zoë!",
    "finish_reason": "stop", "logprobs": {
      "tokens": ["Zo", "bytes:\\xc3", "bytes:\\xab", "!"],
      "token_logprobs": [null, -1, -0.25, -4],
      "top_logprobs": [null, {"bytes:\\xc3": -1, "x": -2}, {"bytes:\\xab": -0.25},
                       {"bytes:\\xc3": -1, "x": -2, "!": -4}],
      "text_offset": [0, 2, 3, 3]}})"));
  EXPECT_EQ(parse(out).at("object"), "text_completion");
}

TEST(CompletionStream, HasDataAlone) {
  const ChunkHead head = completion_chunk_head(kHead, false);
  const TokenLogprob tokens[] = {{"b", -1.0f}};
  CompletionChoice choice;
  choice.text = "b";
  choice.logprobs = CompletionLogprobs{tokens, 7};
  std::string out;
  append_completion_chunk(out, head, choice);
  choice = {};
  choice.finish_reason = FinishReason::kLength;
  append_completion_chunk(out, head, choice);
  const auto events = events_of(out);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].json(), parse(R"({"id": "cmpl-1", "object": "text_completion", "created": 5,
    "model": "m", "choices": [{"index": 0, "text": "b", "finish_reason": null, "logprobs": {
      "tokens": ["b"], "token_logprobs": [-1], "top_logprobs": [{"b": -1}],
      "text_offset": [7]}}]})"));
  EXPECT_EQ(events[1].json().at_pointer("/choices/0/finish_reason"), "length");
}

TEST(Embeddings, AreListsOrBase64) {
  const std::vector<std::vector<float>> vectors = {{1.0f, -0.5f}, {0.0f, 0.25f}};
  std::string out;
  append_embedding_response(out, "m", vectors, false, 9);
  EXPECT_EQ(parse(out), parse(R"({"object": "list", "model": "m", "data": [
    {"object": "embedding", "index": 0, "embedding": [1, -0.5]},
    {"object": "embedding", "index": 1, "embedding": [0, 0.25]}],
    "usage": {"prompt_tokens": 9, "total_tokens": 9}})"));
  out.clear();
  append_embedding_response(out, "m", vectors, true, 9);
  EXPECT_EQ(parse(out).at_pointer("/data/0/embedding"), "AACAPwAAAL8=");
}

TEST(EmbeddingRequest, ReadsEachField) {
  const auto request = parse_embedding_request(
      R"({"model":"m","input":["a"],"encoding_format":"base64","dimensions":64})");
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->base64);
  EXPECT_EQ(request->dimensions, 64);
  EXPECT_EQ(request->input, std::vector<Prompt>{Prompt("a")});
}

TEST(Models, AreListed) {
  const ModelCard models[] = {{"a", 1, 4096}, {"b", 2, 0}};
  std::string out;
  append_model_list(out, models);
  EXPECT_EQ(parse(out), parse(R"({"object": "list", "data": [
    {"id": "a", "object": "model", "created": 1, "owned_by": "hachi", "max_model_len": 4096},
    {"id": "b", "object": "model", "created": 2, "owned_by": "hachi"}]})"));
}

TEST(Tokenize, ReadsAPromptOrAConversation) {
  const auto prompt = parse_tokenize_request(R"({"prompt":"a","return_token_strs":true})");
  ASSERT_TRUE(prompt);
  EXPECT_FALSE(prompt->is_chat);
  EXPECT_EQ(prompt->prompt, "a");
  EXPECT_TRUE(prompt->add_special_tokens);
  EXPECT_TRUE(prompt->return_token_strs);
  const auto chat = parse_tokenize_request(R"({"messages":[{"role":"user","content":"a"}]})");
  ASSERT_TRUE(chat);
  EXPECT_TRUE(chat->is_chat);
  EXPECT_EQ(chat->messages.size(), 1u);
  EXPECT_FALSE(chat->add_special_tokens);
}

TEST(Tokenize, WritesTokensAndTheirTexts) {
  const int32_t tokens[] = {5, 0};
  const std::string texts[] = {"a", "\xff"};
  std::string out;
  append_tokenize_response(out, tokens, {}, 2048);
  EXPECT_EQ(out, R"({"count":2,"max_model_len":2048,"tokens":[5,0]})");
  out.clear();
  append_tokenize_response(out, tokens, texts, 2048);
  EXPECT_EQ(parse(out).at("token_strs"), parse("[\"a\",\"\uFFFD\"]"));
  out.clear();
  append_tokenizer_info(out, "", "</s>", 9);
  EXPECT_EQ(out, R"({"bos_token":null,"eos_token":"</s>","model_max_length":9})");
  out.clear();
  append_detokenize_response(out, "a\"b");
  EXPECT_EQ(out, R"({"prompt":"a\"b"})");
}

}  // namespace
}  // namespace hachi::api
