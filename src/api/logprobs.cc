#include "api/logprobs.h"

#include <algorithm>

#include "api/json_text.h"
#include "core/utf8.h"

namespace hachi::api {
namespace {

// What OpenAI writes for a token that has no chance; JSON has no infinities.
constexpr float kLowest = -9999;

void append_logprob(std::string& out, float logprob) {
  append_float(out, logprob > kLowest && logprob <= 0 ? logprob : logprob > 0 ? 0 : kLowest);
}

void append_token(std::string& out, std::string_view token, std::string_view bytes_mark) {
  if (is_utf8(token)) {
    append_json_string(out, token);
    return;
  }
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  out += bytes_mark;
  for (const char c : token) {
    const auto byte = static_cast<uint8_t>(c);
    out += "\\\\x";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  out += '"';
}

// "token", "logprob" and "bytes", with the object left open.
void append_chat_token(std::string& out, std::string_view token, float logprob) {
  out += R"({"token":)";
  append_token(out, token, "");
  out += R"(,"logprob":)";
  append_logprob(out, logprob);
  out += R"(,"bytes":[)";
  Separator comma;
  for (const char byte : token) {
    comma(out);
    append_integer(out, static_cast<uint8_t>(byte));
  }
  out += ']';
}

// The object of one token's alternatives: no key stands twice in it.
void append_top(std::string& out, const TokenLogprob& token) {
  constexpr std::string_view kMark = "bytes:";
  out += '{';
  Separator comma;
  bool has_itself = false;
  for (size_t i = 0; i < token.top.size(); ++i) {
    const std::string_view name = token.top[i].token;
    const auto before = token.top.first(i);
    const bool twice = std::any_of(before.begin(), before.end(),
                                   [&](const TopLogprob& other) { return other.token == name; });
    if (twice) continue;
    has_itself = has_itself || name == token.token;
    comma(out);
    append_token(out, name, kMark);
    out += ':';
    append_logprob(out, token.top[i].logprob);
  }
  if (!has_itself) {
    comma(out);
    append_token(out, token.token, kMark);
    out += ':';
    append_logprob(out, token.logprob);
  }
  out += '}';
}

int64_t code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char byte) { return (static_cast<uint8_t>(byte) & 0xC0) != 0x80; });
}

// `append` for each token, as the elements of a list.
template <class Append>
void append_items(std::string& out, std::span<const TokenLogprob> tokens, Append append) {
  Separator comma;
  for (const TokenLogprob& token : tokens) {
    comma(out);
    append(token);
  }
}

template <class Append>
void append_list(std::string& out, std::span<const TokenLogprob> tokens, Append append) {
  out += '[';
  append_items(out, tokens, append);
  out += ']';
}

}  // namespace

void append_logprob_items(std::string& out, std::span<const TokenLogprob> tokens) {
  append_items(out, tokens, [&](const TokenLogprob& token) {
    append_chat_token(out, token.token, token.logprob);
    out += R"(,"top_logprobs":[)";
    Separator comma;
    for (const TopLogprob& top : token.top) {
      comma(out);
      append_chat_token(out, top.token, top.logprob);
      out += '}';
    }
    out += "]}";
  });
}

void append_chat_logprobs(std::string& out, std::span<const TokenLogprob> tokens) {
  out += R"({"content":[)";
  append_logprob_items(out, tokens);
  out += "]}";
}

void append_completion_logprobs(std::string& out, std::span<const TokenLogprob> tokens,
                                int64_t text_offset) {
  out += R"({"tokens":)";
  append_list(out, tokens, [&](const TokenLogprob& t) { append_token(out, t.token, "bytes:"); });
  out += R"(,"token_logprobs":)";
  append_list(out, tokens, [&](const TokenLogprob& t) {
    if (t.has_logprob) {
      append_logprob(out, t.logprob);
    } else {
      out += "null";
    }
  });
  out += R"(,"top_logprobs":)";
  append_list(out, tokens, [&](const TokenLogprob& t) {
    if (t.has_logprob) {
      append_top(out, t);
    } else {
      out += "null";
    }
  });
  out += R"(,"text_offset":)";
  append_list(out, tokens, [&](const TokenLogprob& t) {
    append_integer(out, text_offset);
    text_offset += code_points(t.token);
  });
  out += '}';
}

}  // namespace hachi::api
