// What runs beside the answers: health, metrics, models, tokens.
#include <utility>

#include "api/models.h"
#include "api/tokenize.h"
#include "server/answers.h"
#include "server/exchange_steps.h"
#include "server/routes.h"

namespace hachi::server {
namespace {

api::ModelCard card_of(const OfferedModel& offered, const std::shared_ptr<ServedModel>& loaded) {
  return {offered.name, offered.created, loaded ? loaded->engine.context_length() : 0};
}

}  // namespace

net::awaitable<void> answer_health(Visit& visit, std::string) {
  if (visit.app().is_healthy()) {
    co_await visit.send_json(R"({"status":"ok"})");
  } else {
    co_await visit.send(503, "application/json",
                        R"({"status":"stuck: requests wait and no step has finished lately"})");
  }
}

net::awaitable<void> answer_metrics(Visit& visit, std::string) {
  co_await visit.send(200, kPrometheusContentType, visit.app().metrics_text());
}

net::awaitable<void> answer_models(Visit& visit, std::string) {
  const ModelPool& pool = visit.app().models();
  const auto loaded = pool.loaded();
  std::vector<api::ModelCard> cards;
  for (size_t i = 0; i < loaded.size(); ++i) cards.push_back(card_of(pool.offered()[i], loaded[i]));
  std::string body;
  api::append_model_list(body, cards);
  co_await visit.send_json(std::move(body));
}

net::awaitable<void> answer_model(Visit& visit, std::string id) {
  const ModelPool& pool = visit.app().models();
  const auto loaded = pool.loaded();
  for (size_t i = 0; i < loaded.size(); ++i) {
    if (pool.offered()[i].name != id) continue;
    std::string body;
    api::append_model(body, card_of(pool.offered()[i], loaded[i]));
    co_return co_await visit.send_json(std::move(body));
  }
  api::ApiError error{404, fmt::format("the model '{}' is not served here", id), "model",
                      "model_not_found"};
  co_await visit.send_error(error);
}

net::awaitable<void> answer_tokenize(Visit& visit, std::string) {
  auto request =
      co_await parse_body(visit, visit.exchange().request().body, api::parse_tokenize_request);
  if (!request) co_return co_await visit.send_error(std::move(request).error());
  auto model = co_await acquire_model(visit, request->model);
  if (!model) co_return co_await visit.send_error(std::move(model).error());
  AnswerAsk ask;
  ask.add_special_tokens = request->add_special_tokens;
  ask.form.tools = std::move(request->tools);
  if (request->is_chat) {
    ask.prompt = ChatPrompt{std::move(request->messages), request->prompt_fields};
  } else {
    ask.prompt = std::vector<api::Prompt>{std::move(request->prompt)};
  }
  api::ApiResult<std::vector<TokenPrompt>> prompts;
  std::string body;
  auto work = [&] {
    prompts = tokenize(**model, ask);
    if (!prompts) return;
    const std::vector<int32_t>& tokens = prompts->front().tokens;
    std::vector<std::string> texts;
    if (request->return_token_strs) {
      for (const int32_t token : tokens) {
        texts.emplace_back((*model)->parts.tokenizer.token(token));
      }
    }
    api::append_tokenize_response(body, tokens, texts, (*model)->engine.context_length());
  };
  co_await run_on(visit.app().text_pool(), visit.executor(), work);
  if (!prompts) co_return co_await visit.send_error(std::move(prompts).error());
  co_await visit.send_json(std::move(body));
}

net::awaitable<void> answer_detokenize(Visit& visit, std::string) {
  auto request =
      co_await parse_body(visit, visit.exchange().request().body, api::parse_detokenize_request);
  if (!request) co_return co_await visit.send_error(std::move(request).error());
  auto model = co_await acquire_model(visit, request->model);
  if (!model) co_return co_await visit.send_error(std::move(model).error());
  std::string body;
  auto work = [&] {
    api::append_detokenize_response(body, (*model)->parts.tokenizer.decode(request->tokens));
  };
  co_await run_on(visit.app().text_pool(), visit.executor(), work);
  co_await visit.send_json(std::move(body));
}

// lm-evaluation-harness asks, and needs no tokenizer of its own then. Of the first model: nothing
// in the request names one.
net::awaitable<void> answer_tokenizer_info(Visit& visit, std::string) {
  auto model = co_await acquire_model(visit, "");
  if (!model) co_return co_await visit.send_error(std::move(model).error());
  const tokenizer::Tokenizer& tokenizer = (*model)->parts.tokenizer;
  const auto text = [&](std::optional<tokenizer::TokenId> id) {
    return id ? tokenizer.token(*id) : std::string_view();
  };
  std::string body;
  api::append_tokenizer_info(body, text(tokenizer.bos()), text(tokenizer.eos()),
                             (*model)->engine.context_length());
  co_await visit.send_json(std::move(body));
}

}  // namespace hachi::server
