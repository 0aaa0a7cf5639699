#include "server/router.h"

#include <algorithm>

#include "server/page.h"
#include "server/routes.h"

namespace hachi::server {
namespace {

constexpr std::string_view kId = "{id}";

// What stands for {id} in `path` under `pattern`; "" for a pattern without one. None: no match.
std::optional<std::string> match(std::string_view pattern, std::string_view path) {
  const size_t at = pattern.find(kId);
  if (at == std::string_view::npos) {
    return pattern == path ? std::optional<std::string>("") : std::nullopt;
  }
  const std::string_view before = pattern.substr(0, at), after = pattern.substr(at + kId.size());
  if (path.size() <= before.size() + after.size() || !path.starts_with(before) ||
      !path.ends_with(after)) {
    return std::nullopt;
  }
  return std::string(path.substr(before.size(), path.size() - before.size() - after.size()));
}

constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", answer_chat},
    {"POST", "/v1/completions", answer_completions},
    {"POST", "/v1/responses", answer_responses},
    {"POST", "/v1/messages", answer_messages, true, ErrorStyle::kAnthropic},
    {"POST", "/v1/messages/count_tokens", answer_count_tokens, true, ErrorStyle::kAnthropic},
    {"POST", "/v1/embeddings", answer_embeddings},
    {"POST", "/tokenize", answer_tokenize},
    {"POST", "/detokenize", answer_detokenize},
    {"GET", "/tokenizer_info", answer_tokenizer_info},
    {"GET", "/v1/models", answer_models},
    {"GET", "/v1/models/{id}", answer_model},
    {"POST", "/v1/files", answer_upload, true, ErrorStyle::kOpenAi, true},
    {"GET", "/v1/files", answer_files},
    {"GET", "/v1/files/{id}/content", answer_file_content},
    {"GET", "/v1/files/{id}", answer_file},
    {"DELETE", "/v1/files/{id}", answer_delete_file},
    {"POST", "/v1/batches", answer_create_batch},
    {"GET", "/v1/batches", answer_batches},
    {"POST", "/v1/batches/{id}/cancel", answer_cancel_batch},
    {"GET", "/v1/batches/{id}", answer_batch},
    {"GET", "/health", answer_health, false},
    {"GET", "/metrics", answer_metrics, false},
};

// The page's files, whose paths are their own (page.h).
constexpr Route kPage = {"GET", "/", answer_page, false};

}  // namespace

RouteMatch find_route(std::string_view method, std::string_view path) {
  if (method == "HEAD") method = "GET";
  RouteMatch found;
  if (find_asset(path) != nullptr) {
    if (method == kPage.method) found.route = &kPage;
    found.allowed = "GET, HEAD";
    return found;
  }
  for (const Route& route : kRoutes) {
    auto id = match(route.pattern, path);
    if (!id) continue;
    if (route.method == method) {
      found.route = &route;
      found.id = *std::move(id);
      return found;
    }
    found.allowed += (found.allowed.empty() ? "" : ", ") + std::string(route.method);
    if (route.method == "GET") found.allowed += ", HEAD";
  }
  return found;
}

}  // namespace hachi::server
