#include "quantize/splitting.h"

#include <algorithm>
#include <vector>

#include "tokenizer/json_fields.h"
#include "tokenizer/split_scanners.h"

namespace hachi::quantize {
namespace {

namespace json = boost::json;
using tokenizer::bool_field;
using tokenizer::string_field;

// What a chain of components comes to.
struct Chain {
  bool nfc = false;
  bool digits = false;  // single digits apart
  bool byte_level = false;
  bool metaspace = false;
  bool prepends = false;  // U+2581 before the text
  std::vector<std::string> patterns;
};

struct Known {
  std::string_view pre;
  bool nfc;
  bool digits;
  bool ignore_merges;
  std::vector<std::string_view> patterns;
};

const std::vector<Known>& known_splittings() {
  static const std::vector<Known> known = {
      {"qwen2", true, false, false, {tokenizer::kQwen2Split}},
      {"llama-bpe", false, false, true, {tokenizer::kLlama3Split}},
      {"smollm", false, true, false, {tokenizer::kGpt2Split}},
      {"gpt-2", false, false, false, {tokenizer::kGpt2Split}},
      {"deepseek-v3",
       false,
       false,
       false,
       {tokenizer::kDeepSeekNumbers, tokenizer::kDeepSeekCjk, tokenizer::kDeepSeekWords}},
  };
  return known;
}

// The components of `root`'s field `name`: one, or the members of a Sequence. Their types have been
// checked by the tokenizer.
std::vector<const json::object*> components(const json::object& root, std::string_view name,
                                            std::string_view members) {
  std::vector<const json::object*> found;
  const json::value* value = tokenizer::field(root, name);
  const json::object* first = value == nullptr ? nullptr : value->if_object();
  if (first == nullptr) return found;
  const json::value* list = tokenizer::field(*first, members);
  if (list == nullptr || !list->is_array()) return {first};
  for (const json::value& member : list->get_array()) {
    if (member.is_object()) found.push_back(&member.get_object());
  }
  return found;
}

Result<void> add_normalizer(const json::object& step, Chain& chain) {
  TRY(const auto type, string_field(step, "type", "normalizer"));
  if (type == "NFC") chain.nfc = true;
  if (type == "Prepend") chain.prepends = chain.metaspace = true;
  if (type == "Replace") chain.metaspace = true;
  return {};
}

Result<void> add_pre_tokenizer(const json::object& step, Chain& chain) {
  constexpr std::string_view kWhere = "pre_tokenizer";
  TRY(const auto type, string_field(step, "type", kWhere));
  if (type == "Digits") {
    TRY(chain.digits, bool_field(step, "individual_digits", false, kWhere));
  } else if (type == "ByteLevel") {
    chain.byte_level = true;
    TRY(const bool regex, bool_field(step, "use_regex", true, kWhere));
    if (regex) chain.patterns.emplace_back(tokenizer::kGpt2Split);
  } else if (type == "Metaspace") {
    chain.metaspace = true;
    TRY(const auto scheme, string_field(step, "prepend_scheme", kWhere));
    TRY(const bool prefix, bool_field(step, "add_prefix_space", true, kWhere));
    chain.prepends = scheme ? *scheme != "never" : prefix;
  } else if (type == "Split") {
    TRY(const json::object* pattern, tokenizer::object_field(step, "pattern", kWhere));
    if (pattern == nullptr) return {};
    TRY(const auto regex, string_field(*pattern, "Regex", kWhere));
    TRY(const auto text, string_field(*pattern, "String", kWhere));
    chain.patterns.emplace_back(regex.value_or(text.value_or("")));
  }
  return {};
}

}  // namespace

Result<Splitting> find_splitting(const json::object& root, std::string_view file) {
  Chain chain;
  for (const json::object* step : components(root, "normalizer", "normalizers")) {
    TRY(add_normalizer(*step, chain));
  }
  for (const json::object* step : components(root, "pre_tokenizer", "pretokenizers")) {
    TRY(add_pre_tokenizer(*step, chain));
  }
  TRY(const json::object* model, tokenizer::object_field(root, "model", "the file"));
  TRY(const bool ignore_merges, bool_field(*model, "ignore_merges", false, "model"));
  if (!chain.byte_level && chain.metaspace) return Splitting{"default", true, chain.prepends};
  for (const Known& known : known_splittings()) {
    if (chain.nfc == known.nfc && chain.digits == known.digits &&
        ignore_merges == known.ignore_merges &&
        std::equal(chain.patterns.begin(), chain.patterns.end(), known.patterns.begin(),
                   known.patterns.end())) {
      return Splitting{known.pre};
    }
  }
  return fail(Code::kUnsupported,
              "{}: GGUF has no name that Hachi knows for how this tokenizer splits a text; the "
              "model can be used as it is, but not converted",
              file);
}

}  // namespace hachi::quantize
