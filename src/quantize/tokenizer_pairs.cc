#include "quantize/tokenizer_pairs.h"

#include <algorithm>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "formats/json.h"
#include "quantize/splitting.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/tokenizer.h"

namespace hachi::quantize {
namespace {

using formats::Checkpoint;
using formats::GgufPairList;
using tokenizer::TokenId;
using tokenizer::Tokenizer;
namespace json = boost::json;

// Values of tokenizer.ggml.token_type.
constexpr int32_t kNormal = 1;
constexpr int32_t kUnknown = 2;
constexpr int32_t kControl = 3;
constexpr int32_t kUserDefined = 4;
constexpr int32_t kUnused = 5;
constexpr int32_t kByte = 6;

// All that splitting rules differ in: words, numbers, quotes, white space, letters of many scripts,
// composed and not, marks of languages and programs.
constexpr std::string_view kProbe =
    "Hello, World!  I'm here; they'LL   come at 12:30, 2024-01-05 (1234567 times).\n\n\t x = "
    "f(a[0], b_1) // 'why' \"not\"?\r\n  \u00C0 la carte, cafe\u0301, na\u00EFve, stra\u00DFe. "
    "\u4F60\u597D\uFF0C\u4E16\u754C\u30023\u6761\u3002\u3053\u3093\u306B\u3061\u306F "
    "\u041F\u0440\u0438\u0432\u0435\u0442 \u0645\u0631\u062D\u0628\u0627 "
    "\u0928\u092E\u0938\u094D\u0924\u0947 \U0001F642\U0001F469\u200D\U0001F680 <b>&amp;</b> "
    "\u00A0end\n";

// The tokens that end an answer have three keys; `usual` has the first.
void set_end_ids(const model::ModelConfig& config, std::optional<TokenId> usual,
                 GgufPairList& pairs) {
  std::vector<int32_t> ends = config.eos_ids;
  if (usual && ends.empty()) ends.push_back(*usual);
  const auto first = usual ? std::find(ends.begin(), ends.end(), *usual) : ends.end();
  if (first != ends.end()) std::rotate(ends.begin(), first, first + 1);
  constexpr std::string_view kKeys[] = {
      "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
  for (size_t i = 0; i < std::size(kKeys) && i < ends.size(); ++i) {
    pairs.set(kKeys[i], static_cast<uint32_t>(ends[i]));
  }
}

class TokenizerConverter {
 public:
  TokenizerConverter(const Checkpoint& checkpoint, const model::ModelConfig& config,
                     const Tokenizer& tokenizer, GgufPairList& pairs)
      : checkpoint_(checkpoint), config_(config), tokenizer_(tokenizer), pairs_(pairs) {}

  Result<void> convert(const json::object& root);

 private:
  Result<void> set_tokens(const json::object& root, bool pieces);
  Result<void> set_merges(const json::object& model);
  Result<void> set_scores(const json::object& model);
  void set_ends();
  void set_named(std::string_view key, std::optional<TokenId> id, std::string_view field,
                 std::string_view config_key);
  Result<void> check(const Splitting& splitting) const;

  std::string file() const { return (checkpoint_.path() / "tokenizer.json").string(); }

  const Checkpoint& checkpoint_;
  const model::ModelConfig& config_;
  const Tokenizer& tokenizer_;
  GgufPairList& pairs_;
};

bool is_byte_token(std::string_view text) {
  return text.size() == 6 && text.starts_with("<0x") && text.ends_with('>');
}

// The types of the added tokens: {id, type}.
Result<std::vector<std::pair<TokenId, int32_t>>> added_types(const json::object& root,
                                                             const Tokenizer& tokenizer) {
  std::vector<std::pair<TokenId, int32_t>> types;
  TRY(const json::array* list, tokenizer::array_field(root, "added_tokens", "the file"));
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const json::object* added = (*list)[i].if_object();
    if (added == nullptr) continue;  // the tokenizer has refused such a file
    TRY(const auto text, tokenizer::string_field(*added, "content", "added token"));
    for (const char* flag : {"lstrip", "rstrip", "single_word"}) {
      TRY(const bool on, tokenizer::bool_field(*added, flag, false, "added token"));
      if (!on) continue;
      return fail(Code::kUnsupported,
                  "tokenizer.json: the token '{}' has {}, for which GGUF has no field; the model "
                  "can be used as it is, but not converted",
                  tokenizer::shown(text.value_or("")), flag);
    }
    const auto id = text ? tokenizer.id(*text) : std::nullopt;
    if (id) types.emplace_back(*id, tokenizer.is_special(*id) ? kControl : kUserDefined);
  }
  return types;
}

Result<void> TokenizerConverter::set_tokens(const json::object& root, bool pieces) {
  const auto count = static_cast<size_t>(config_.vocab_size);
  std::vector<std::string> texts(count);
  std::vector<int32_t> types(count, kNormal);
  for (size_t i = 0; i < count; ++i) {
    const std::string_view text = tokenizer_.token(static_cast<TokenId>(i));
    texts[i] = text.empty() ? fmt::format("[PAD{}]", i) : std::string(text);
    if (text.empty()) types[i] = kUnused;
    if (pieces && is_byte_token(text)) types[i] = kByte;
  }
  TRY(const auto added, added_types(root, tokenizer_));
  for (const auto& [id, type] : added) {
    if (static_cast<size_t>(id) < count) types[static_cast<size_t>(id)] = type;
  }
  TRY(const json::object* model, tokenizer::object_field(root, "model", "the file"));
  TRY(const auto unk, tokenizer::string_field(*model, "unk_token", "model"));
  const auto unk_id = unk ? tokenizer_.id(*unk) : std::nullopt;
  if (pieces && unk_id) {
    types[static_cast<size_t>(*unk_id)] = kUnknown;
    pairs_.set("tokenizer.ggml.unknown_token_id", static_cast<uint32_t>(*unk_id));
  }
  pairs_.set_list("tokenizer.ggml.tokens", texts);
  pairs_.set_list("tokenizer.ggml.token_type", types);
  return {};
}

// A merge is "a b" or ["a", "b"]; the tokenizer has checked that.
std::pair<std::string_view, std::string_view> halves(const json::value& merge) {
  if (const json::array* pair = merge.if_array()) {
    return {(*pair)[0].get_string(), (*pair)[1].get_string()};
  }
  const std::string_view text = merge.get_string();
  const size_t space = text.find(' ');
  return {text.substr(0, space), text.substr(space + 1)};
}

Result<void> TokenizerConverter::set_merges(const json::object& model) {
  std::vector<std::string> merges;
  for (const json::value& merge : model.at("merges").get_array()) {
    const auto [left, right] = halves(merge);
    if (left.find(' ') != left.npos || right.find(' ') != right.npos) {
      return fail(Code::kUnsupported,
                  "{}: the merge of '{}' and '{}' has a space, which GGUF cannot write", file(),
                  tokenizer::shown(left), tokenizer::shown(right));
    }
    merges.push_back(fmt::format("{} {}", left, right));
  }
  pairs_.set_list("tokenizer.ggml.merges", merges);
  return {};
}

// GGUF has scores of tokens in place of merges: the earlier the first merge that makes a token, the
// better its score. What no merge makes is worse than all of them.
Result<void> TokenizerConverter::set_scores(const json::object& model) {
  const json::array& merges = model.at("merges").get_array();
  const auto worst = -static_cast<float>(merges.size());
  std::vector<float> scores(static_cast<size_t>(config_.vocab_size), worst);
  for (size_t i = merges.size(); i-- > 0;) {
    const auto [left, right] = halves(merges[i]);
    const auto merged = tokenizer_.id(std::string(left) + std::string(right));
    if (merged) scores[static_cast<size_t>(*merged)] = -static_cast<float>(i);
  }
  pairs_.set_list("tokenizer.ggml.scores", scores);
  return {};
}

// The id that the tokenizer knows, else of the token that tokenizer_config.json names by its text,
// else that config.json numbers.
void TokenizerConverter::set_named(std::string_view key, std::optional<TokenId> id,
                                   std::string_view field, std::string_view config_key) {
  for (const std::string& place : {std::string(field), std::string(field) + ".content"}) {
    const auto text = checkpoint_.tokenizer_config().string(place);
    if (!id && text && *text) id = tokenizer_.id(**text);
  }
  const auto number = checkpoint_.metadata().integer(config_key);
  if (!id && number && *number && **number >= 0 && **number < config_.vocab_size) {
    id = static_cast<TokenId>(**number);
  }
  if (id) pairs_.set(key, static_cast<uint32_t>(*id));
}

void TokenizerConverter::set_ends() {
  set_named("tokenizer.ggml.bos_token_id", tokenizer_.bos(), "bos_token", "bos_token_id");
  set_named("tokenizer.ggml.padding_token_id", {}, "pad_token", "pad_token_id");
  set_end_ids(config_, tokenizer_.eos(), pairs_);
  const auto plain = tokenizer_.encode("a");
  const auto framed = tokenizer_.encode("a", {.add_special = true});
  const bool begins = !framed.empty() && !plain.empty() && framed.front() != plain.front();
  const bool ended = !framed.empty() && !plain.empty() && framed.back() != plain.back();
  pairs_.set("tokenizer.ggml.add_bos_token", begins);
  pairs_.set("tokenizer.ggml.add_eos_token", ended);
}

// Reads the pairs back as a reader of the file will.
Result<void> TokenizerConverter::check(const Splitting& splitting) const {
  const std::string header = gguf_header(pairs_, {});
  TRY(const formats::Gguf gguf,
      formats::parse_gguf(std::as_bytes(std::span(header.data(), header.size())), file()));
  TRY(const Tokenizer back, Tokenizer::from_gguf(gguf.metadata));
  std::string text(kProbe);
  for (const std::string_view special : {"<|im_start|>user\n", "<s>[INST]", "<|eot_id|>"}) {
    text += special;
  }
  const tokenizer::EncodeOptions framed{.add_special = true};
  if (back.encode(text, framed) == tokenizer_.encode(text, framed)) return {};
  return fail(Code::kUnsupported,
              "{}: GGUF's keys cannot say how this tokenizer splits (it is nearest to '{}'); the "
              "model can be used as it is, but not converted",
              file(), splitting.pre);
}

Result<void> TokenizerConverter::convert(const json::object& root) {
  TRY(const Splitting splitting, find_splitting(root, file()));
  pairs_.set("tokenizer.ggml.model", splitting.pieces ? "llama" : "gpt2");
  pairs_.set("tokenizer.ggml.pre", splitting.pre);
  TRY(set_tokens(root, splitting.pieces));
  TRY(const json::object* model, tokenizer::object_field(root, "model", "the file"));
  if (splitting.pieces) {
    TRY(set_scores(*model));
    pairs_.set("tokenizer.ggml.add_space_prefix", splitting.adds_space);
  } else {
    TRY(set_merges(*model));
  }
  set_ends();
  if (const auto text = checkpoint_.chat_template()) pairs_.set("tokenizer.chat_template", *text);
  return check(splitting);
}

}  // namespace

Result<void> add_tokenizer_pairs(const Checkpoint& checkpoint, const model::ModelConfig& config,
                                 GgufPairList& pairs) {
  if (checkpoint.tokenizer_json().empty()) {
    set_end_ids(config, {}, pairs);
    return {};
  }
  TRY(const Tokenizer tokenizer, Tokenizer::load(checkpoint));
  if (tokenizer.rows_needed() > config.vocab_size) {
    return fail(Code::kCorrupt, "{}: the tokenizer has {} tokens and the model only {}",
                checkpoint.path().string(), tokenizer.vocab_size(), config.vocab_size);
  }
  json::monotonic_resource memory;
  TRY(const json::value document,
      formats::parse_json(checkpoint.tokenizer_json(), "tokenizer.json", &memory));
  return TokenizerConverter(checkpoint, config, tokenizer, pairs).convert(document.get_object());
}

}  // namespace hachi::quantize
