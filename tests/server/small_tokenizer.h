// A byte-level tokenizer that is made here: a token for each byte, some longer ones (one of which
// ends in the middle of a character), and the marks of ChatML and of thinking; and a chat template.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "core/check.h"
#include "tokenizer/tokenizer.h"

namespace hachi::server::testing {

inline constexpr std::string_view kEndMark = "<|im_end|>";
inline constexpr std::string_view kBeginMark = "<|im_start|>";

// ChatML as Qwen3 has it: enable_thinking true begins the thinking, false writes an empty one, and
// without it the model decides.
inline constexpr std::string_view kChatTemplate =
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}"
    "{%- if enable_thinking is defined -%}"
    "{{- '<think>\\n' if enable_thinking else '<think>\\n\\n</think>\\n\\n' -}}"
    "{%- endif -%}{%- endif -%}";

// What stands between the last mark and the answer, by enable_thinking.
inline constexpr std::string_view kPlainStart = "assistant\n";
inline constexpr std::string_view kThinkingStart = "assistant\n<think>\n";

// The character that stands for `byte` in byte-level vocabularies: itself if it can be printed,
// else the next one from U+0100 on.
inline std::string byte_character(int byte) {
  const auto is_printed = [](int b) {
    return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
  };
  int code = byte;
  if (!is_printed(byte)) {
    code = 0x100;
    for (int b = 0; b < byte; ++b) code += is_printed(b) ? 0 : 1;
  }
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
}

inline std::string byte_characters(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += byte_character(static_cast<unsigned char>(byte));
  return text;
}

inline tokenizer::Tokenizer small_tokenizer() {
  namespace json = boost::json;
  constexpr std::pair<std::string_view, std::string_view> kMerges[] = {
      {" ", "t"},  {"h", "e"}, {" t", "he"},     {"i", "n"},       {"in", "g"},
      {"e", "r"},  {" ", "a"}, {"\n", "\n"},     {"s", "t"},       {"a", "n"},
      {"an", "d"}, {"1", "2"}, {"\xe2", "\x80"}, {"\xc3", "\xb6"}, {"\xf0", "\x9f"}};
  json::object vocab;
  for (int byte = 0; byte < 256; ++byte) vocab.emplace(byte_character(byte), vocab.size());
  json::array merges;
  for (const auto& [left, right] : kMerges) {
    const std::string a = byte_characters(left), b = byte_characters(right);
    merges.push_back(json::array{a, b});
    vocab.emplace(a + b, vocab.size());
  }
  json::array added;
  const size_t first_added = vocab.size();
  for (const std::string_view mark : {std::string_view("<|endoftext|>"), kBeginMark, kEndMark,
                                      std::string_view("<think>"), std::string_view("</think>")}) {
    added.push_back({{"id", first_added + added.size()},
                     {"content", mark},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", mark.starts_with("<|")}});
  }
  const json::object byte_level{{"type", "ByteLevel"},
                                {"add_prefix_space", false},
                                {"trim_offsets", true},
                                {"use_regex", true}};
  const json::object file{{"version", "1.0"},
                          {"added_tokens", added},
                          {"normalizer", nullptr},
                          {"pre_tokenizer", byte_level},
                          {"post_processor", byte_level},
                          {"decoder", byte_level},
                          {"model", json::object{{"type", "BPE"},
                                                 {"dropout", nullptr},
                                                 {"unk_token", nullptr},
                                                 {"continuing_subword_prefix", nullptr},
                                                 {"end_of_word_suffix", nullptr},
                                                 {"fuse_unk", false},
                                                 {"byte_fallback", false},
                                                 {"ignore_merges", false},
                                                 {"vocab", vocab},
                                                 {"merges", merges}}}};
  auto made = tokenizer::Tokenizer::from_json(json::serialize(file));
  CHECK(made);
  return *std::move(made);
}

}  // namespace hachi::server::testing
