// POST /v1/chat/completions
#include <utility>

#include "api/chat_completions.h"
#include "server/answers.h"
#include "server/exchange_steps.h"
#include "server/routes.h"

namespace hachi::server {
namespace {

AnswerAsk ask_for(api::ChatRequest& request) {
  return {
      .model = request.model,
      .prompt = ChatPrompt{std::move(request.messages), request.prompt},
      .sampling = request.sampling,
      .schedule = request.schedule,
      .max_tokens = request.max_tokens,
      .top_logprobs = request.logprobs ? std::optional(request.top_logprobs) : std::nullopt,
      .form = {.format = request.format, .tools = request.tools, .reasoning = request.reasoning}};
}

// What `piece` adds. `id` keeps the text that the delta views.
void set_piece(api::ChatDelta& delta, const output::Piece& piece, const api::ResponseHead& head,
               std::string& id) {
  delta.content = delta.reasoning = {};
  delta.tool_call.reset();
  switch (piece.field) {
    case output::Field::kReasoning:
      delta.reasoning = piece.text;
      break;
    case output::Field::kContent:
      delta.content = piece.text;
      break;
    case output::Field::kCallName:
      id = call_id(head.id, delta.index, piece.call);
      delta.tool_call = {.index = piece.call, .id = id, .name = piece.text};
      break;
    case output::Field::kCallArguments:
      delta.tool_call = {.index = piece.call, .arguments = piece.text};
      break;
  }
}

// What has come of one choice, as chunks.
void append_news(std::string& out, const api::ChunkHead& chunks, const api::ResponseHead& head,
                 const api::ChatRequest& request, int64_t index, Generation& generation) {
  const LogprobViews logprobs(generation.scored());
  api::ChatDelta delta{.index = index, .reasoning_name = request.reasoning_name};
  if (!request.reasoning.include) {
    std::erase_if(generation.pieces(), [](const auto& piece) { return piece.is_thinking(); });
  }
  // Logprobs that no text goes out with: it is held back or left out, and they are not.
  if (generation.pieces().empty() && !generation.scored().empty()) {
    delta.logprobs = logprobs.span();
    api::append_chat_chunk(out, chunks, delta);
    delta.logprobs.reset();
  }
  bool first = true;
  std::string id;
  for (const output::Piece& piece : generation.pieces()) {
    set_piece(delta, piece, head, id);
    if (first && request.logprobs) delta.logprobs = logprobs.span();
    api::append_chat_chunk(out, chunks, delta);
    delta.logprobs.reset();
    first = false;
  }
  generation.pieces().clear();
  generation.scored().clear();
  if (!generation.is_done()) return;
  api::append_chat_chunk(out, chunks,
                         {.index = index,
                          .reasoning_truncated = generation.is_thinking_truncated(),
                          .finish_reason = generation.finish_reason()});
}

net::awaitable<void> stream_chat(Visit& visit, const api::ChatRequest& request,
                                 const api::ResponseHead& head, Answers& answers) {
  const api::ChunkHead chunks = api::chat_chunk_head(head, request.stream.include_usage);
  std::string first;
  for (size_t i = 0; i < answers.generations.size(); ++i) {
    api::append_chat_chunk(first, chunks, {.index = static_cast<int64_t>(i), .role = true});
  }
  auto news = [&](std::string& out, size_t i) {
    append_news(out, chunks, head, request, static_cast<int64_t>(i), answers.generations[i]);
  };
  auto end = [&](std::string& out) {
    if (request.stream.include_usage) api::append_usage_chunk(out, chunks, answers.usage());
    api::append_done(out);
  };
  co_await stream_events(visit, answers, std::move(first), news, end,
                         api::append_openai_error_event);
}

net::awaitable<api::ApiResult<std::string>> chat_body(Caller& caller,
                                                      const api::ChatRequest& request,
                                                      const api::ResponseHead& head,
                                                      Answers& answers) {
  {
    AnswerReader reader(caller, answers);
    auto failed = co_await reader.read_all();
    if (failed) co_return tl::unexpected(*std::move(failed));
  }
  struct Texts {
    AnswerFields fields;
    std::vector<api::ToolCall> calls;
    LogprobViews logprobs;
  };
  std::vector<Texts> texts;
  std::vector<api::ChatChoice> choices;
  texts.reserve(answers.generations.size());
  for (Generation& one : answers.generations) {
    const auto index = static_cast<int64_t>(choices.size());
    Texts& text = texts.emplace_back(
        Texts{fields_of(one.pieces(), head.id, index), {}, LogprobViews(one.scored())});
    text.calls = text.fields.tool_calls();
    api::ChatChoice choice{.index = index,
                           .content = text.fields.content,
                           .reasoning_name = request.reasoning_name,
                           .reasoning_truncated = one.is_thinking_truncated(),
                           .tool_calls = text.calls,
                           .finish_reason = one.finish_reason()};
    if (request.reasoning.include) choice.reasoning = text.fields.reasoning;
    if (request.logprobs) choice.logprobs = text.logprobs.span();
    choices.push_back(choice);
  }
  std::string body;
  api::append_chat_response(body, head, choices, answers.usage());
  co_return body;
}

net::awaitable<api::ApiResult<Begun<api::ChatRequest>>> begin_chat(Caller& caller,
                                                                   std::string_view body) {
  return begin_request(caller, body, api::parse_chat_request, ask_for, "chatcmpl-");
}

}  // namespace

net::awaitable<void> answer_chat(Visit& visit, std::string) {
  auto begun = co_await begin_chat(visit, visit.exchange().request().body);
  if (!begun) co_return co_await visit.send_error(std::move(begun).error());
  if (begun->request.stream.stream) {
    co_return co_await stream_chat(visit, begun->request, begun->head, begun->answers);
  }
  auto body = co_await chat_body(visit, begun->request, begun->head, begun->answers);
  co_await visit.send_result(std::move(body));
}

net::awaitable<api::ApiResult<std::string>> complete_chat(Caller& caller, std::string_view body) {
  auto begun = co_await begin_chat(caller, body);
  if (!begun) co_return tl::unexpected(std::move(begun).error());
  co_return co_await chat_body(caller, begun->request, begun->head, begun->answers);
}

}  // namespace hachi::server
