// Refuses what the requests can say and no route does yet: a form of the answer, tools, a budget
// for thoughts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/anthropic_messages.h"
#include "api/chat_completions.h"
#include "api/completions.h"
#include "api/responses.h"
#include "api/tokenize.h"

namespace hachi::server {

inline api::ApiError unbuilt(const std::string& field) {
  return {400, field + " is not supported yet: leave it out", field, "unsupported_parameter"};
}

inline std::optional<api::ApiError> refuse_unbuilt(const api::OutputFormat& format) {
  if (format.kind == api::OutputFormat::Kind::kText) return std::nullopt;
  return unbuilt(format.path);
}

inline std::optional<api::ApiError> refuse_unbuilt(const api::ToolFields& tools) {
  if (tools.tools.empty()) return std::nullopt;
  return unbuilt("tools");
}

inline std::optional<api::ApiError> refuse_unbuilt(const api::CompletionRequest& request) {
  return refuse_unbuilt(request.format);
}

inline std::optional<api::ApiError> refuse_unbuilt(const api::TokenizeRequest& request) {
  return refuse_unbuilt(request.tools);
}

inline std::optional<api::ApiError> refuse_unbuilt(const api::MessagesRequest& request) {
  auto refused = refuse_unbuilt(request.tools);
  return refused ? refused : refuse_unbuilt(request.format);
}

inline std::optional<api::ApiError> refuse_unbuilt(const api::ChatRequest& request) {
  auto refused = refuse_unbuilt(request.tools);
  if (!refused) refused = refuse_unbuilt(request.format);
  if (!refused && request.reasoning.budget) refused = unbuilt("thinking_token_budget");
  return refused;
}

inline std::optional<api::ApiError> refuse_unbuilt(const api::ResponsesRequest& request) {
  auto refused = refuse_unbuilt(request.tools);
  if (!refused) refused = refuse_unbuilt(request.format);
  if (!refused && request.reasoning.budget) refused = unbuilt("thinking_token_budget");
  if (!refused && !request.reasoning.include) refused = unbuilt("include_reasoning");
  return refused;
}

// `parse` and the refusal in one.
template <auto parse>
auto parse_built(std::string_view body) -> decltype(parse(body)) {
  auto request = parse(body);
  if (!request) return request;
  if (auto refused = refuse_unbuilt(*request)) return tl::unexpected(*std::move(refused));
  return request;
}

}  // namespace hachi::server
