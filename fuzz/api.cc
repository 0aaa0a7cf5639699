// A request: the first byte chooses the endpoint, the rest is the body (or the query of a list).
// What is refused must be refused with a message that is UTF-8 and no longer than a few lines,
// whatever the body is.
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "api/anthropic_messages.h"
#include "api/batches.h"
#include "api/chat_completions.h"
#include "api/completions.h"
#include "api/embeddings.h"
#include "api/list_query.h"
#include "api/responses.h"
#include "api/tokenize.h"
#include "core/check.h"
#include "core/utf8.h"

namespace {

constexpr size_t kMaxMessage = 2000;

void check_error(const hachi::api::ApiError& error) {
  CHECK(error.status == 400 || error.status == 413);
  CHECK(!error.message.empty());
  CHECK_LE(error.message.size(), kMaxMessage);
  CHECK(hachi::is_utf8(error.message));
  std::string written;
  hachi::api::append_openai_error_event(written, error);
  hachi::api::append_anthropic_error_event(written, error);
  CHECK(hachi::is_utf8(written));
}

template <auto parse>
void parse_and_check(std::string_view body) {
  const auto parsed = parse(body);
  if (!parsed) check_error(parsed.error());
}

// A line of a batch goes on to the endpoint that it names.
void parse_line(std::string_view body);

constexpr void (*kEndpoints[])(std::string_view) = {
    parse_and_check<hachi::api::parse_chat_request>,
    parse_and_check<hachi::api::parse_completion_request>,
    parse_and_check<hachi::api::parse_embedding_request>,
    parse_and_check<hachi::api::parse_responses_request>,
    parse_and_check<hachi::api::parse_messages_request>,
    parse_and_check<hachi::api::parse_count_tokens_request>,
    parse_and_check<hachi::api::parse_tokenize_request>,
    parse_and_check<hachi::api::parse_detokenize_request>,
    parse_and_check<hachi::api::parse_batch_request>,
    parse_line,
    [](std::string_view query) {
      const auto parsed = hachi::api::parse_list_query(query, 20, 100);
      if (!parsed) check_error(parsed.error());
    },
};

void parse_line(std::string_view body) {
  const auto line = hachi::api::parse_batch_line(body);
  if (!line) {
    check_error(line.error());
    return;
  }
  for (size_t i = 0; i < std::size(hachi::api::kBatchEndpoints); ++i) {
    if (line->url == hachi::api::kBatchEndpoints[i]) kEndpoints[i](line->body);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  kEndpoints[data[0] % std::size(kEndpoints)](body);
  return 0;
}
