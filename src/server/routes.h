// The functions behind the routes (router.cc) and behind the lines of a batch, a file each.
#pragma once

#include <string>
#include <string_view>

#include "server/visit.h"

namespace hachi::server {

net::awaitable<void> answer_chat(Visit& visit, std::string id);
net::awaitable<void> answer_completions(Visit& visit, std::string id);
net::awaitable<void> answer_responses(Visit& visit, std::string id);
net::awaitable<void> answer_messages(Visit& visit, std::string id);
net::awaitable<void> answer_count_tokens(Visit& visit, std::string id);
net::awaitable<void> answer_embeddings(Visit& visit, std::string id);
net::awaitable<void> answer_tokenize(Visit& visit, std::string id);
net::awaitable<void> answer_detokenize(Visit& visit, std::string id);
net::awaitable<void> answer_tokenizer_info(Visit& visit, std::string id);
net::awaitable<void> answer_models(Visit& visit, std::string id);
net::awaitable<void> answer_model(Visit& visit, std::string id);
net::awaitable<void> answer_upload(Visit& visit, std::string id);
net::awaitable<void> answer_files(Visit& visit, std::string id);
net::awaitable<void> answer_file_content(Visit& visit, std::string id);
net::awaitable<void> answer_file(Visit& visit, std::string id);
net::awaitable<void> answer_delete_file(Visit& visit, std::string id);
net::awaitable<void> answer_create_batch(Visit& visit, std::string id);
net::awaitable<void> answer_batches(Visit& visit, std::string id);
net::awaitable<void> answer_cancel_batch(Visit& visit, std::string id);
net::awaitable<void> answer_batch(Visit& visit, std::string id);
net::awaitable<void> answer_health(Visit& visit, std::string id);
net::awaitable<void> answer_metrics(Visit& visit, std::string id);
net::awaitable<void> answer_page(Visit& visit, std::string id);

// The JSON that the endpoint answers to `body`, which outlives the call. An error of 499 means that
// the caller has gone.
net::awaitable<api::ApiResult<std::string>> complete_chat(Caller& caller, std::string_view body);
net::awaitable<api::ApiResult<std::string>> complete_completions(Caller& caller,
                                                                 std::string_view body);
net::awaitable<api::ApiResult<std::string>> complete_response(Caller& caller,
                                                              std::string_view body);
net::awaitable<api::ApiResult<std::string>> complete_embeddings(Caller& caller,
                                                                std::string_view body);

}  // namespace hachi::server
