#include "cli/load_prompts.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include <boost/json/serialize.hpp>

#include "core/files.h"
#include "core/random.h"
#include "formats/json.h"

namespace hachi::cli {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;
constexpr int64_t kMaxPromptTokens = int64_t{1} << 20;

// The streams of random numbers under one seed.
enum class Draw : uint32_t { kWord, kPrefixWord, kLength, kOrder };

uint64_t draw(uint64_t seed, Draw stream, int64_t index, int64_t position, uint64_t below) {
  const auto at = static_cast<uint64_t>(index) << 24 | static_cast<uint64_t>(position);
  const double number = uniform(seed, at, static_cast<uint32_t>(stream));
  return static_cast<uint64_t>(number * static_cast<double>(below));
}

void append_word(std::string& text, uint64_t number) {
  const LoadWords& words = load_words();
  if (!text.empty()) text += ' ';
  text += words[number % words.size()];
}

// The first two words of prompt `index` as its two digits, in an order that the seed sets.
std::array<uint64_t, 2> own_words(uint64_t seed, int64_t index) {
  const uint64_t base = load_words().size();
  const auto number = static_cast<uint64_t>(index);
  const uint64_t stride = 2 * draw(seed, Draw::kOrder, 0, 0, base / 2) + 1;  // odd: a permutation
  const uint64_t first = (number % base) * stride + draw(seed, Draw::kOrder, 0, 1, base);
  const uint64_t second = number / base + draw(seed, Draw::kOrder, 1, 0, base);
  return {first % base, second % base};
}

Result<LoadPrompt> prompt_of_json(std::string_view line, const std::string& where) {
  TRY(const boost::json::object object, formats::parse_json_object(line, where));
  const auto* prompt = object.if_contains("prompt");
  const auto* messages = object.if_contains("messages");
  LoadPrompt result;
  if (prompt != nullptr && prompt->is_string()) {
    result.text = prompt->get_string();
  } else if (messages != nullptr && messages->is_array()) {
    result.messages = boost::json::serialize(*messages);
  } else {
    return fail(Code::kInvalidArgument, "{}: needs \"prompt\", a string, or \"messages\", a list",
                where);
  }
  return result;
}

Result<int64_t> parse_count(std::string_view text, std::string_view whole) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 ||
      value > kMaxPromptTokens) {
    return fail(Code::kInvalidArgument,
                "--prompt-tokens {}: must be a number up to {}, or two as in 512+-64", whole,
                kMaxPromptTokens);
  }
  return value;
}

}  // namespace

Result<PromptSource> PromptSource::synthetic(const SyntheticPrompts& options) {
  const int64_t shortest = options.tokens - options.spread;
  if (shortest <= options.shared_prefix) {
    return fail(Code::kInvalidArgument,
                "prompts of {} tokens have no token of their own after a shared prefix of {}: "
                "--prompt-tokens must be larger",
                shortest, options.shared_prefix);
  }
  PromptSource source;
  source.options_ = options;
  for (int64_t i = 0; i < options.shared_prefix; ++i) {
    append_word(source.prefix_, draw(options.seed, Draw::kPrefixWord, 0, i, load_words().size()));
  }
  return source;
}

Result<PromptSource> PromptSource::from_file(const std::string& file) {
  TRY(const std::string text, read_file(file, kMaxFileBytes));
  PromptSource source;
  bool is_json = false;
  int64_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == line.npos) continue;
    if (source.prompts_.empty()) is_json = line[begin] == '{';
    if (is_json) {
      TRY(LoadPrompt prompt, prompt_of_json(line, fmt::format("{}, line {}", file, number)));
      source.prompts_.push_back(std::move(prompt));
    } else {
      source.prompts_.push_back({std::string(line), {}});
    }
  }
  if (source.prompts_.empty()) return fail(Code::kInvalidArgument, "{}: holds no prompt", file);
  return source;
}

LoadPrompt PromptSource::prompt(int64_t index) const {
  if (!prompts_.empty()) {
    return prompts_[static_cast<size_t>(index % static_cast<int64_t>(prompts_.size()))];
  }
  const uint64_t seed = options_.seed;
  const auto lengths = static_cast<uint64_t>(2 * options_.spread + 1);
  const int64_t tokens = options_.tokens - options_.spread +
                         static_cast<int64_t>(draw(seed, Draw::kLength, index, 0, lengths));
  const std::array<uint64_t, 2> own = own_words(seed, index);
  LoadPrompt prompt;
  prompt.text = prefix_;
  for (int64_t i = options_.shared_prefix; i < tokens; ++i) {
    const auto place = static_cast<size_t>(i - options_.shared_prefix);
    append_word(prompt.text, place < own.size()
                                 ? own[place]
                                 : draw(seed, Draw::kWord, index, i, load_words().size()));
  }
  return prompt;
}

Result<void> parse_prompt_tokens(std::string_view text, SyntheticPrompts& options) {
  std::string_view tokens = text;
  std::string_view spread = "0";
  for (const std::string_view sign : {"+-", "±"}) {
    const size_t at = text.find(sign);
    if (at == text.npos) continue;
    tokens = text.substr(0, at);
    spread = text.substr(at + sign.size());
  }
  TRY(options.tokens, parse_count(tokens, text));
  TRY(options.spread, parse_count(spread, text));
  return {};
}

}  // namespace hachi::cli
