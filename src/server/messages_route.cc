// POST /v1/messages and /v1/messages/count_tokens, Anthropic's API.
#include <utility>

#include "api/anthropic_messages.h"
#include "api/message_stream.h"
#include "server/exchange_steps.h"
#include "server/routes.h"

namespace hachi::server {
namespace {

AnswerAsk ask_for(const api::MessagesRequest& request) {
  ChatPrompt prompt;
  prompt.messages = request.messages;
  prompt.fields.enable_thinking = request.reasoning.enable;
  prompt.fields.continue_final_message = request.continue_final_message;
  prompt.fields.add_generation_prompt = !request.continue_final_message;
  return {
      .model = request.model,
      .prompt = std::move(prompt),
      .sampling = request.sampling,
      .max_tokens = request.max_tokens,
      .form = {.format = request.format, .tools = request.tools, .reasoning = request.reasoning}};
}

api::MessageEnd end_of(const Generation& generation) {
  return {generation.finish_reason(), generation.stop_text(), generation.is_thinking_truncated()};
}

void append_piece(api::MessageStream& stream, std::string& out, const output::Piece& piece,
                  const api::MessagesRequest& request, const api::ResponseHead& head) {
  switch (piece.field) {
    case output::Field::kReasoning:
      if (request.reasoning.include) stream.thinking_delta(out, piece.text);
      break;
    case output::Field::kContent:
      stream.text_delta(out, piece.text);
      break;
    case output::Field::kCallName:
      stream.tool_use(out, call_id(head.id, 0, piece.call), piece.text);
      break;
    case output::Field::kCallArguments:
      stream.input_delta(out, piece.text);
      break;
  }
}

net::awaitable<void> stream_message(Visit& visit, const api::MessagesRequest& request,
                                    const api::ResponseHead& head, Answers& answers) {
  api::MessageStream stream;
  Generation& generation = answers.generations.front();
  std::string first;
  stream.start(first, head, answers.usage());
  auto news = [&](std::string& out, size_t) {
    for (const output::Piece& piece : generation.pieces()) {
      append_piece(stream, out, piece, request, head);
    }
    generation.pieces().clear();
  };
  auto end = [&](std::string& out) { stream.finish(out, end_of(generation), answers.usage()); };
  co_await stream_events(visit, answers, std::move(first), news, end,
                         api::append_anthropic_error_event);
}

net::awaitable<api::ApiResult<std::string>> message_body(Caller& caller,
                                                         const api::MessagesRequest& request,
                                                         const api::ResponseHead& head,
                                                         Answers& answers) {
  {
    AnswerReader reader(caller, answers);
    auto failed = co_await reader.read_all();
    if (failed) co_return tl::unexpected(*std::move(failed));
  }
  Generation& generation = answers.generations.front();
  AnswerFields fields = fields_of(generation.pieces(), head.id);
  if (!request.reasoning.include) fields.reasoning.clear();
  const std::vector<api::ToolCall> calls = fields.tool_calls();
  std::string body;
  api::append_message(body, head, {fields.reasoning, fields.content, calls}, end_of(generation),
                      answers.usage());
  co_return body;
}

net::awaitable<api::ApiResult<Begun<api::MessagesRequest>>> begin_message(Caller& caller,
                                                                          std::string_view body) {
  return begin_request(caller, body, api::parse_messages_request, ask_for, "msg_");
}

}  // namespace

net::awaitable<void> answer_messages(Visit& visit, std::string) {
  auto begun = co_await begin_message(visit, visit.exchange().request().body);
  if (!begun) co_return co_await visit.send_error(std::move(begun).error());
  if (begun->request.stream) {
    co_return co_await stream_message(visit, begun->request, begun->head, begun->answers);
  }
  auto body = co_await message_body(visit, begun->request, begun->head, begun->answers);
  co_await visit.send_result(std::move(body));
}

net::awaitable<void> answer_count_tokens(Visit& visit, std::string) {
  auto request =
      co_await parse_body(visit, visit.exchange().request().body, api::parse_count_tokens_request);
  if (!request) co_return co_await visit.send_error(std::move(request).error());
  auto model = co_await acquire_model(visit, request->model);
  if (!model) co_return co_await visit.send_error(std::move(model).error());
  const AnswerAsk ask = ask_for(*request);
  api::ApiResult<std::vector<TokenPrompt>> prompts;
  auto work = [&] { prompts = tokenize(**model, ask); };
  co_await run_on(visit.app().text_pool(), visit.executor(), work);
  if (!prompts) co_return co_await visit.send_error(std::move(prompts).error());
  std::string body;
  api::append_count_tokens_response(body, static_cast<int64_t>(prompts->front().tokens.size()));
  co_await visit.send_json(std::move(body));
}

}  // namespace hachi::server
