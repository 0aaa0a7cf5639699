// The functions behind the routes (router.cc), a file each.
#pragma once

#include <string>

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
net::awaitable<void> answer_health(Visit& visit, std::string id);
net::awaitable<void> answer_metrics(Visit& visit, std::string id);
net::awaitable<void> answer_page(Visit& visit, std::string id);

}  // namespace hachi::server
