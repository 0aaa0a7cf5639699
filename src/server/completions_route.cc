// POST /v1/completions
#include <algorithm>
#include <utility>

#include "api/completions.h"
#include "core/utf8.h"
#include "server/exchange_steps.h"
#include "server/routes.h"

namespace hachi::server {
namespace {

AnswerAsk ask_for(api::CompletionRequest& request) {
  return {.model = request.model,
          .prompt = std::move(request.prompts),
          .prompt_field = "prompt",
          .add_special_tokens = request.add_special_tokens,
          .sampling = request.sampling,
          .schedule = request.schedule,
          .max_tokens = request.max_tokens,
          .top_logprobs = request.logprobs,
          .score_prompt = request.echo && request.logprobs.has_value(),
          .form = {.format = request.format, .split_thinking = false}};
}

// The text and tokens of the prompt, where they are wanted back.
struct Echo {
  std::string text;
  std::optional<ScoredToken> first_token;  // nothing says how likely it is
};

std::vector<Echo> echoes(const api::CompletionRequest& request, const Answers& answers) {
  std::vector<Echo> echoes(answers.generations.size());
  if (!request.echo) return echoes;
  const size_t n = answers.generations.size() / answers.prompts.size();
  const tokenizer::Tokenizer& tokenizer = answers.model->parts.tokenizer;
  for (size_t i = 0; i < echoes.size(); ++i) {
    const TokenPrompt& prompt = answers.prompts[i / n];
    echoes[i].text = prompt.text.empty() ? tokenizer.decode(prompt.tokens) : prompt.text;
    if (request.logprobs) {
      echoes[i].first_token =
          ScoredToken{.token = token_text(tokenizer, prompt.tokens.front()), .has_logprob = false};
    }
  }
  return echoes;
}

// The parts of a choice's text as they come, and where the text of their tokens begins. That is not
// where the part itself begins: tokens whose text is held back have come before it.
class ChoiceText {
 public:
  explicit ChoiceText(Echo echo) : echo_(std::move(echo)) {}

  // Takes what has come of the generation; false if that is nothing.
  bool take(Generation& generation) {
    for (const ScoredToken& one : scored_) offset_ += num_characters(one.token);
    text_ = std::exchange(echo_.text, {});
    scored_ = std::move(generation.scored());
    generation.scored().clear();
    for (const output::Piece& piece : generation.pieces()) text_ += piece.text;
    generation.pieces().clear();
    if (echo_.first_token) {
      scored_.insert(scored_.begin(), *std::exchange(echo_.first_token, {}));
    }
    return !text_.empty() || !scored_.empty() || generation.is_done();
  }

  const std::string& text() const { return text_; }
  const std::vector<ScoredToken>& scored() const { return scored_; }
  int64_t offset() const { return offset_; }

 private:
  static int64_t num_characters(const std::string& text) {
    return std::count_if(text.begin(), text.end(),
                         [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  }

  Echo echo_;
  std::string text_;
  std::vector<ScoredToken> scored_;
  int64_t offset_ = 0;  // characters of the tokens before scored_
};

// Calls write(choice) with what `text` has taken.
template <class Write>
void with_choice(const api::CompletionRequest& request, size_t index, const ChoiceText& text,
                 const Generation& generation, const Write& write) {
  const LogprobViews views(text.scored());
  api::CompletionChoice choice{.index = static_cast<int64_t>(index), .text = text.text()};
  if (request.logprobs) choice.logprobs = {views.span(), text.offset()};
  if (generation.is_done()) choice.finish_reason = generation.finish_reason();
  write(choice);
}

net::awaitable<void> stream_completions(Visit& visit, const api::CompletionRequest& request,
                                        const api::ResponseHead& head, Answers& answers) {
  const api::ChunkHead chunks = api::completion_chunk_head(head, request.stream.include_usage);
  std::vector<ChoiceText> texts;
  for (Echo& echo : echoes(request, answers)) texts.emplace_back(std::move(echo));
  auto news = [&](std::string& out, size_t i) {
    if (!texts[i].take(answers.generations[i])) return;
    with_choice(request, i, texts[i], answers.generations[i],
                [&](const auto& choice) { api::append_completion_chunk(out, chunks, choice); });
  };
  auto end = [&](std::string& out) {
    if (request.stream.include_usage) api::append_usage_chunk(out, chunks, answers.usage());
    api::append_done(out);
  };
  co_await stream_events(visit, answers, std::string(), news, end, api::append_openai_error_event);
}

net::awaitable<api::ApiResult<std::string>> completions_body(Caller& caller,
                                                             const api::CompletionRequest& request,
                                                             const api::ResponseHead& head,
                                                             Answers& answers) {
  {
    AnswerReader reader(caller, answers);
    auto failed = co_await reader.read_all();
    if (failed) co_return tl::unexpected(*std::move(failed));
  }
  std::string body;
  auto work = [&] {
    std::vector<ChoiceText> texts;
    std::vector<LogprobViews> views;
    std::vector<api::CompletionChoice> choices;
    for (Echo& echo : echoes(request, answers)) texts.emplace_back(std::move(echo));
    views.reserve(texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      texts[i].take(answers.generations[i]);
      views.emplace_back(texts[i].scored());
      with_choice(request, i, texts[i], answers.generations[i], [&](api::CompletionChoice choice) {
        if (choice.logprobs) choice.logprobs->tokens = views[i].span();
        choices.push_back(choice);
      });
    }
    api::append_completion_response(body, head, choices, answers.usage());
  };
  if (request.logprobs || answers.generations.size() > 1) {
    co_await run_on(caller.app().text_pool(), caller.executor(), work);
  } else {
    work();
  }
  co_return body;
}

net::awaitable<api::ApiResult<Begun<api::CompletionRequest>>> begin_completions(
    Caller& caller, std::string_view body) {
  return begin_request(caller, body, api::parse_completion_request, ask_for, "cmpl-");
}

}  // namespace

net::awaitable<void> answer_completions(Visit& visit, std::string) {
  auto begun = co_await begin_completions(visit, visit.exchange().request().body);
  if (!begun) co_return co_await visit.send_error(std::move(begun).error());
  if (begun->request.stream.stream) {
    co_return co_await stream_completions(visit, begun->request, begun->head, begun->answers);
  }
  auto body = co_await completions_body(visit, begun->request, begun->head, begun->answers);
  co_await visit.send_result(std::move(body));
}

net::awaitable<api::ApiResult<std::string>> complete_completions(Caller& caller,
                                                                 std::string_view body) {
  auto begun = co_await begin_completions(caller, body);
  if (!begun) co_return tl::unexpected(std::move(begun).error());
  co_return co_await completions_body(caller, begun->request, begun->head, begun->answers);
}

}  // namespace hachi::server
