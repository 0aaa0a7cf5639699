// tokenizer.json to TokenizerParts: the vocabulary, the merges and the added tokens. The chain of
// components around the model is read in components_from_json.cc.
#include <algorithm>

#include <boost/json.hpp>

#include "tokenizer/components_from_json.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/merge_builder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_parts.h"

namespace hachi::tokenizer {
namespace {

Result<TokenId> token_id(const json::value& value, std::string_view token) {
  if (value.is_int64() && value.get_int64() >= 0 &&
      value.get_int64() < static_cast<int64_t>(kMaxTokens)) {
    return static_cast<TokenId>(value.get_int64());
  }
  return fail(Code::kCorrupt, "tokenizer.json: the id of token '{}' is not an integer from 0 to {}",
              shown(token), kMaxTokens - 1);
}

Result<Vocabulary> build_vocabulary(const json::object& vocabulary,
                                    const std::vector<AddedToken>& added) {
  std::vector<Vocabulary::Entry> entries;
  entries.reserve(vocabulary.size() + added.size());
  for (const json::key_value_pair& pair : vocabulary) {
    TRY(const TokenId id, token_id(pair.value(), pair.key()));
    entries.push_back({id, pair.key()});
  }
  for (const AddedToken& token : added) {
    if (!vocabulary.contains(token.text)) entries.push_back({token.id, token.text, false});
  }
  return Vocabulary::build(entries);
}

Result<AddedToken> read_added_token(const json::value& value) {
  const json::object* fields = value.if_object();
  if (fields == nullptr) {
    return fail(Code::kCorrupt, "tokenizer.json: added_tokens holds something that is no object");
  }
  AddedToken token;
  TRY(const auto text, string_field(*fields, "content", "added token"));
  if (!text || text->empty()) {
    return fail(Code::kCorrupt, "tokenizer.json: an added token has no 'content'");
  }
  token.text = *text;
  const json::value* id = fields->if_contains("id");
  TRY(token.id, token_id(id == nullptr ? json::value() : *id, *text));
  TRY(token.special, bool_field(*fields, "special", false, "added token"));
  TRY(token.single_word, bool_field(*fields, "single_word", false, "added token"));
  TRY(token.lstrip, bool_field(*fields, "lstrip", false, "added token"));
  TRY(token.rstrip, bool_field(*fields, "rstrip", false, "added token"));
  TRY(token.normalized, bool_field(*fields, "normalized", !token.special, "added token"));
  return token;
}

// A text that comes twice keeps its last flags, and a text of the model's vocabulary keeps the id
// that it has there, both as in the reference.
Result<void> read_added_tokens(const json::object& root, const json::object& vocabulary,
                               std::vector<AddedToken>& added) {
  TRY(const json::array* list, array_field(root, "added_tokens", "the file"));
  if (list == nullptr) return {};
  if (list->size() > kMaxTokens) {
    return fail(Code::kLimit, "tokenizer.json: {} added tokens are more than {}", list->size(),
                kMaxTokens);
  }
  std::vector<AddedToken> all;
  for (const json::value& value : *list) {
    TRY(AddedToken token, read_added_token(value));
    if (const json::value* known = vocabulary.if_contains(token.text)) {
      TRY(token.id, token_id(*known, token.text));
    }
    all.push_back(std::move(token));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.text < b.text; });
  for (size_t i = 0; i < all.size(); ++i) {
    const bool last = i + 1 == all.size() || all[i].text != all[i + 1].text;
    if (last) added.push_back(std::move(all[i]));
  }
  return {};
}

// A merge is "a b", or ["a", "b"].
Result<MergeTable> read_merges(const json::object& model, const Vocabulary& vocabulary) {
  TRY(const json::array* list, array_field(model, "merges", "model"));
  if (list == nullptr) return fail(Code::kCorrupt, "tokenizer.json: model has no 'merges'");
  TRY(MergeBuilder builder, MergeBuilder::start(vocabulary, list->size()));
  for (const json::value& merge : *list) {
    if (merge.is_string()) {
      TRY(builder.add(merge.get_string()));
      continue;
    }
    const json::array* pair = merge.if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() ||
        !(*pair)[1].is_string()) {
      return fail(Code::kCorrupt, "tokenizer.json: a merge is neither \"a b\" nor [\"a\", \"b\"]");
    }
    TRY(builder.add((*pair)[0].get_string(), (*pair)[1].get_string()));
  }
  return std::move(builder).build();
}

Result<BpeOptions> read_options(const json::object& model, const Vocabulary& vocabulary) {
  BpeOptions options;
  TRY(options.ignore_merges, bool_field(model, "ignore_merges", false, "model"));
  TRY(options.byte_fallback, bool_field(model, "byte_fallback", false, "model"));
  TRY(options.fuse_unk, bool_field(model, "fuse_unk", false, "model"));
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    TRY(const auto affix, string_field(model, name, "model"));
    if (affix && !affix->empty()) {
      return fail(Code::kUnsupported, "tokenizer.json: model has a '{}', which is not supported",
                  name);
    }
  }
  const json::value* dropout = field(model, "dropout");
  if (dropout != nullptr && *dropout != json::value(0.0) && *dropout != json::value(0)) {
    return fail(Code::kUnsupported,
                "tokenizer.json: model has a 'dropout', which is not supported");
  }
  TRY(const auto unk, string_field(model, "unk_token", "model"));
  if (unk) {
    options.unk = vocabulary.find_in_model(*unk);
    if (options.unk < 0) {
      return fail(Code::kCorrupt, "tokenizer.json: unk_token '{}' is not in the vocabulary",
                  shown(*unk));
    }
  }
  return options;
}

Result<void> check_model_type(const json::object& model) {
  TRY(const auto type, string_field(model, "type", "model"));
  if (type && *type != "BPE") {
    return fail(Code::kUnsupported, "tokenizer.json: model type '{}' is not supported, only BPE",
                shown(*type));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<TokenizerParts>> parts_from_json(std::string_view text) {
  if (text.size() > Tokenizer::kMaxJsonBytes) {
    return fail(Code::kLimit, "tokenizer.json: {} bytes are more than {}", text.size(),
                Tokenizer::kMaxJsonBytes);
  }
  json::monotonic_resource memory;
  json::error_code error;
  const json::value document = json::parse(text, error, &memory);
  if (error) return fail(Code::kCorrupt, "tokenizer.json: not JSON ({})", error.message());
  const json::object* root = document.if_object();
  if (root == nullptr) return fail(Code::kCorrupt, "tokenizer.json: not a JSON object");
  TRY(const json::object* model, object_field(*root, "model", "the file"));
  if (model == nullptr) return fail(Code::kCorrupt, "tokenizer.json: there is no 'model'");
  TRY(check_model_type(*model));

  auto parts = std::make_unique<TokenizerParts>();
  TRY(const json::object* vocabulary, object_field(*model, "vocab", "model"));
  if (vocabulary == nullptr) return fail(Code::kCorrupt, "tokenizer.json: model has no 'vocab'");
  TRY(read_added_tokens(*root, *vocabulary, parts->added));
  TRY(parts->vocabulary, build_vocabulary(*vocabulary, parts->added));
  TRY(BpeOptions options, read_options(*model, parts->vocabulary));
  TRY(MergeTable merges, read_merges(*model, parts->vocabulary));
  TRY(read_components(*root, *parts, options.byte_level));
  parts->model = Bpe(parts->vocabulary, std::move(merges), options);
  return parts;
}

}  // namespace hachi::tokenizer
