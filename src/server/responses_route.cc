// POST /v1/responses
#include <utility>

#include "api/response_stream.h"
#include "api/responses.h"
#include "server/exchange_steps.h"
#include "server/routes.h"

namespace hachi::server {
namespace {

AnswerAsk ask_for(const api::ResponsesRequest& request) {
  return {
      .model = request.model,
      .prompt = ChatPrompt{request.messages, request.prompt},
      .prompt_field = "input",
      .sampling = request.sampling,
      .schedule = request.schedule,
      .max_tokens = request.max_output_tokens,
      .top_logprobs = request.logprobs ? std::optional(request.top_logprobs) : std::nullopt,
      .form = {.format = request.format, .tools = request.tools, .reasoning = request.reasoning}};
}

// What is no text of the answer.
void append_piece(api::ResponseStream& stream, std::string& out, const output::Piece& piece,
                  const api::ResponsesRequest& request, const api::ResponseHead& head) {
  if (piece.field == output::Field::kCallName) {
    stream.function_call(out, call_id(head.id, 0, piece.call), piece.text);
  } else if (piece.field == output::Field::kCallArguments) {
    stream.arguments_delta(out, piece.text);
  } else if (request.reasoning.include) {
    stream.reasoning_delta(out, piece.text);
  }
}

net::awaitable<void> stream_response(Visit& visit, const api::ResponsesRequest& request,
                                     const api::ResponseHead& head, Answers& answers) {
  api::ResponseStream stream(head, request);
  Generation& generation = answers.generations.front();
  std::string first;
  stream.start(first);
  auto news = [&](std::string& out, size_t) {
    const LogprobViews logprobs(generation.scored());
    if (generation.is_thinking_truncated()) stream.truncate_reasoning();
    bool is_first = true;
    for (const output::Piece& piece : generation.pieces()) {
      if (piece.field == output::Field::kContent) {
        stream.text_delta(out, piece.text,
                          is_first ? logprobs.span() : decltype(logprobs.span())());
        is_first = false;
      } else {
        append_piece(stream, out, piece, request, head);
      }
    }
    // Those of text that is held back come with it.
    if (!generation.pieces().empty()) generation.scored().clear();
    generation.pieces().clear();
  };
  auto end = [&](std::string& out) {
    stream.finish(out, generation.finish_reason(), answers.usage());
  };
  co_await stream_events(visit, answers, std::move(first), news, end,
                         api::append_openai_error_event);
}

net::awaitable<api::ApiResult<std::string>> response_body(Caller& caller,
                                                          const api::ResponsesRequest& request,
                                                          const api::ResponseHead& head,
                                                          Answers& answers) {
  {
    AnswerReader reader(caller, answers);
    auto failed = co_await reader.read_all();
    if (failed) co_return tl::unexpected(*std::move(failed));
  }
  Generation& generation = answers.generations.front();
  const AnswerFields fields = fields_of(generation.pieces(), head.id);
  const std::vector<api::ToolCall> calls = fields.tool_calls();
  const LogprobViews logprobs(generation.scored());
  api::ResponseOutput output{.text = fields.content,
                             .reasoning_truncated = generation.is_thinking_truncated(),
                             .tool_calls = calls};
  if (request.reasoning.include) output.reasoning = fields.reasoning;
  if (request.logprobs) output.logprobs = logprobs.span();
  std::string body;
  api::append_response(body, head, request, output, generation.finish_reason(), answers.usage());
  co_return body;
}

net::awaitable<api::ApiResult<Begun<api::ResponsesRequest>>> begin_response(Caller& caller,
                                                                            std::string_view body) {
  return begin_request(caller, body, api::parse_responses_request, ask_for, "resp_");
}

}  // namespace

net::awaitable<void> answer_responses(Visit& visit, std::string) {
  auto begun = co_await begin_response(visit, visit.exchange().request().body);
  if (!begun) co_return co_await visit.send_error(std::move(begun).error());
  if (begun->request.stream) {
    co_return co_await stream_response(visit, begun->request, begun->head, begun->answers);
  }
  auto body = co_await response_body(visit, begun->request, begun->head, begun->answers);
  co_await visit.send_result(std::move(body));
}

net::awaitable<api::ApiResult<std::string>> complete_response(Caller& caller,
                                                              std::string_view body) {
  auto begun = co_await begin_response(caller, body);
  if (!begun) co_return tl::unexpected(std::move(begun).error());
  co_return co_await response_body(caller, begun->request, begun->head, begun->answers);
}

}  // namespace hachi::server
