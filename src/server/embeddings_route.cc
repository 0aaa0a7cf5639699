// POST /v1/embeddings: the hidden states of the input, pooled, at length 1.
#include <cmath>
#include <utility>

#include "api/embeddings.h"
#include "server/exchange_steps.h"
#include "server/routes.h"

namespace hachi::server {
namespace {

void normalize(std::vector<float>& values) {
  double squares = 0;
  for (const float value : values)
    squares += static_cast<double>(value) * static_cast<double>(value);
  const double length = std::sqrt(squares);
  for (float& value : values) {
    const double scaled = length > 0 ? static_cast<double>(value) / length : 0;
    value = std::isfinite(scaled) ? static_cast<float>(scaled) : 0.0f;
  }
}

}  // namespace

net::awaitable<api::ApiResult<std::string>> complete_embeddings(Caller& caller,
                                                                std::string_view request_body) {
  auto request = co_await parse_body(caller, request_body, api::parse_embedding_request);
  if (!request) co_return tl::unexpected(std::move(request).error());
  AnswerAsk ask{.model = request->model,
                .prompt = std::move(request->input),
                .prompt_field = "input",
                .max_tokens = 0,
                .pooling = caller.app().options().pooling};
  auto answers = co_await begin_answers(caller, std::move(ask));
  if (!answers) co_return tl::unexpected(std::move(answers).error());
  {
    AnswerReader reader(caller, *answers);
    auto failed = co_await reader.read_all();
    if (failed) co_return tl::unexpected(*std::move(failed));
  }
  std::vector<std::vector<float>> embeddings;
  for (const Generation& one : answers->generations) {
    const auto pooled = one.stream()->embedding();
    const auto width = static_cast<int64_t>(pooled.size());
    if (request->dimensions.value_or(1) > width) {
      api::ApiError error =
          api::invalid_field("dimensions", "dimensions must be at most the model's {}, got {}",
                             width, *request->dimensions);
      co_return tl::unexpected(std::move(error));
    }
    const auto wanted = static_cast<size_t>(request->dimensions.value_or(width));
    embeddings.emplace_back(pooled.begin(), pooled.begin() + static_cast<ptrdiff_t>(wanted));
    normalize(embeddings.back());
  }
  std::string body;
  api::append_embedding_response(body, answers->model->name, embeddings, request->base64,
                                 answers->usage().prompt_tokens);
  co_return body;
}

net::awaitable<void> answer_embeddings(Visit& visit, std::string) {
  auto body = co_await complete_embeddings(visit, visit.exchange().request().body);
  co_await visit.send_result(std::move(body));
}

}  // namespace hachi::server
