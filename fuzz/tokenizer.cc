// Any bytes as a tokenizer.json, and any bytes as a text for it. The input is the JSON, a zero
// byte, and the text; without a zero byte the text is empty. Whatever loads must encode without a
// fault, decode a stream to the same text as the whole, and give UTF-8.
#include "tokenizer/tokenizer.h"

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "core/check.h"
#include "core/utf8.h"

namespace {

using namespace hachi;
using tokenizer::TokenId;
using tokenizer::Tokenizer;

void check_decoding(const Tokenizer& tokenizer, std::span<const TokenId> ids, bool skip_special) {
  const std::string whole = tokenizer.decode(ids, skip_special);
  CHECK(is_utf8(whole));
  tokenizer::StreamDecoder decoder(tokenizer, skip_special);
  std::string streamed;
  for (const TokenId id : ids) {
    const std::string part = decoder.push(id);
    CHECK(is_utf8(part));
    streamed += part;
  }
  streamed += decoder.finish();
  CHECK(streamed == whole);
}

void check_text(const Tokenizer& tokenizer, std::string_view text) {
  const size_t third = text.size() / 3;
  const TextRange user = {third, 2 * third};
  for (const bool parse_special : {true, false}) {
    tokenizer::EncodeOptions options;
    options.parse_special = parse_special;
    options.add_special = !parse_special;
    const std::vector<TokenId> ids = tokenizer.encode(text, options);
    for (const TokenId id : ids) CHECK(!tokenizer.token(id).empty() || tokenizer.id("") == id);
    check_decoding(tokenizer, ids, parse_special);
    options.plain = {&user, 1};
    tokenizer.encode(text, options);
  }
  // The bytes as ids, known and unknown ones.
  std::vector<TokenId> ids;
  for (const char c : text) ids.push_back(static_cast<int8_t>(c) * 3);
  check_decoding(tokenizer, ids, false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), input.size());
  const auto loaded = Tokenizer::from_json(input.substr(0, end));
  if (!loaded) {
    CHECK(!loaded.error().message.empty());
    return 0;
  }
  check_text(*loaded, input.substr(std::min(end + 1, size)));
  return 0;
}
