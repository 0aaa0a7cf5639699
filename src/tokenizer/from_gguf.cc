// The metadata of a GGUF file to TokenizerParts. GGUF names the splitting by a word
// (tokenizer.ggml.pre) where tokenizer.json spells it out, and leaves out the merges of
// SentencePiece vocabularies: they follow from the scores.
#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

#include "tokenizer/merge_builder.h"
#include "tokenizer/tokenizer_parts.h"

namespace hachi::tokenizer {
namespace {

using formats::Metadata;

// Values of tokenizer.ggml.token_type.
enum class TokenType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct Tokens {
  const std::vector<std::string_view>* texts = nullptr;
  std::vector<TokenType> types;  // one for each text
};

Result<Tokens> read_tokens(const Metadata& metadata) {
  Tokens tokens;
  tokens.texts = metadata.strings("tokenizer.ggml.tokens");
  if (tokens.texts == nullptr || tokens.texts->empty()) {
    return fail(Code::kCorrupt, "GGUF: there is no list tokenizer.ggml.tokens");
  }
  const size_t count = tokens.texts->size();
  if (count > kMaxTokens) {
    return fail(Code::kLimit, "GGUF: {} tokens are more than {}", count, kMaxTokens);
  }
  TRY(const std::vector<int64_t> types, metadata.integers("tokenizer.ggml.token_type"));
  if (!types.empty() && types.size() != count) {
    return fail(Code::kCorrupt, "GGUF: {} tokens but {} entries of tokenizer.ggml.token_type",
                count, types.size());
  }
  tokens.types.assign(count, TokenType::kNormal);
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] < 1 || types[i] > 6) {
      return fail(Code::kCorrupt, "GGUF: token {} has the unknown type {}", i, types[i]);
    }
    tokens.types[i] = static_cast<TokenType>(types[i]);
  }
  return tokens;
}

bool is_added(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUserDefined ||
         type == TokenType::kUnknown;
}

// Unused places of the vocabulary stay without a token. User-defined tokens of SentencePiece
// vocabularies take part in merging, as in the tokenizer.json of the same model.
Result<void> build_vocabulary(const Tokens& tokens, bool sentence_piece, TokenizerParts& parts) {
  std::vector<Vocabulary::Entry> entries;
  entries.reserve(tokens.types.size());
  for (size_t i = 0; i < tokens.types.size(); ++i) {
    const TokenType type = tokens.types[i];
    if (type == TokenType::kUnused) continue;
    const auto id = static_cast<TokenId>(i);
    const std::string_view text = (*tokens.texts)[i];
    const bool in_model = !is_added(type) || (sentence_piece && type != TokenType::kControl);
    entries.push_back({id, text, in_model});
    if (!is_added(type) || text.empty()) continue;
    AddedToken added;
    added.id = id;
    added.text = text;
    added.special = type != TokenType::kUserDefined;
    parts.added.push_back(std::move(added));
  }
  TRY(parts.vocabulary, Vocabulary::build(entries));
  return {};
}

// GGUF has no field for it: the chat markers of Phi-3 swallow the white space that follows them,
// but for these three.
void add_phi3_stripping(const Metadata& metadata, std::vector<AddedToken>& added) {
  const auto architecture = metadata.string("general.architecture");
  if (!architecture || *architecture != "phi3") return;
  for (AddedToken& token : added) {
    token.rstrip = token.text != "<unk>" && token.text != "<s>" && token.text != "<|endoftext|>";
  }
}

struct KnownSplit {
  std::string_view name;  // tokenizer.ggml.pre
  bool nfc;
  bool digits;  // single digits apart, before the patterns
  bool ignore_merges;
  bool adds_bos;  // where the file does not say
  std::array<std::string_view, 3> patterns;
};

constexpr KnownSplit kKnownSplits[] = {
    {"gpt-2", false, false, false, false, {kGpt2Split}},
    {"smollm", false, true, false, false, {kGpt2Split}},
    {"qwen2", true, false, false, false, {kQwen2Split}},
    {"deepseek-r1-qwen", true, false, false, false, {kQwen2Split}},
    {"llama-bpe", false, false, true, true, {kLlama3Split}},
    {"llama3", false, false, true, true, {kLlama3Split}},
    {"llama-v3", false, false, true, true, {kLlama3Split}},
    {"deepseek-v3", false, false, false, false, {kDeepSeekNumbers, kDeepSeekCjk, kDeepSeekWords}},
};

Result<const KnownSplit*> find_split(const Metadata& metadata) {
  TRY(const auto name, metadata.string("tokenizer.ggml.pre"));
  const std::string_view wanted = name.value_or("gpt-2");
  const auto known = std::find_if(std::begin(kKnownSplits), std::end(kKnownSplits),
                                  [&](const KnownSplit& split) { return split.name == wanted; });
  if (known == std::end(kKnownSplits)) {
    return fail(Code::kUnsupported,
                "GGUF: the splitting '{}' (tokenizer.ggml.pre) is not supported",
                wanted.substr(0, 64));
  }
  return known;
}

PreTokenizer make_pre_tokenizer(const KnownSplit& known) {
  std::vector<Split> splits;
  if (known.digits) splits.push_back({scan_single_digits});
  for (const std::string_view pattern : known.patterns) {
    if (!pattern.empty()) splits.push_back({find_scanner(pattern)});
  }
  return PreTokenizer({}, std::move(splits));
}

Result<void> fill_byte_level(const Metadata& metadata, const KnownSplit& known,
                             TokenizerParts& parts) {
  const std::vector<std::string_view>* merges = metadata.strings("tokenizer.ggml.merges");
  if (merges == nullptr) {
    return fail(Code::kCorrupt, "GGUF: there is no list tokenizer.ggml.merges");
  }
  TRY(MergeBuilder builder, MergeBuilder::start(parts.vocabulary, merges->size()));
  for (const std::string_view merge : *merges) {
    TRY(builder.add(merge));
  }
  if (known.nfc) parts.normalizer = Normalizer({{Normalizer::Kind::kNfc, {}, {}}});
  parts.pre_tokenizer = make_pre_tokenizer(known);
  BpeOptions options;
  options.byte_level = true;
  options.ignore_merges = known.ignore_merges;
  parts.model = Bpe(parts.vocabulary, std::move(builder).build(), options);
  DecoderOptions decoder;
  decoder.kind = DecoderOptions::Kind::kByteLevel;
  parts.decoder = Decoder(std::move(decoder));
  return {};
}

// Longer tokens are never the result of a merge: trying all their cuts takes quadratic time. The
// longest of the known vocabularies have some 100 bytes.
constexpr size_t kMaxScoredBytes = 256;

// One way to make a token out of two others.
struct ScoredMerge {
  double score;
  TokenId merged, left, right;
};

// All pairs of tokens whose texts together are a token, the best score first. Ties are broken as
// Hugging Face's conversion of the Llama 2 and Gemma vocabularies does it.
Result<MergeTable> merges_from_scores(const std::vector<double>& scores,
                                      const Vocabulary& vocabulary) {
  std::vector<ScoredMerge> merges;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const std::string_view text = vocabulary.text(id);
    if (text.size() > kMaxScoredBytes) continue;
    if (vocabulary.find_in_model(text) != id) continue;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      if ((static_cast<uint8_t>(text[cut]) & 0xC0) == 0x80) continue;
      const TokenId left = vocabulary.find_in_model(text.substr(0, cut));
      if (left < 0) continue;
      const TokenId right = vocabulary.find_in_model(text.substr(cut));
      if (right >= 0) merges.push_back({scores[static_cast<size_t>(id)], id, left, right});
    }
    if (merges.size() > kMaxMerges) {
      return fail(Code::kLimit, "GGUF: the vocabulary implies {} merges, more than {}",
                  merges.size(), kMaxMerges);
    }
  }
  std::sort(merges.begin(), merges.end(), [](const ScoredMerge& a, const ScoredMerge& b) {
    if (a.score != b.score) return a.score > b.score;
    return std::tie(a.merged, a.left, a.right) < std::tie(b.merged, b.left, b.right);
  });
  MergeTable table(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    table.set(merges[i].left, merges[i].right, static_cast<uint32_t>(i), merges[i].merged);
  }
  return table;
}

Result<void> fill_sentence_piece(const Metadata& metadata, const Tokens& tokens,
                                 TokenizerParts& parts) {
  TRY(const std::vector<double> scores, metadata.numbers("tokenizer.ggml.scores"));
  if (scores.size() != tokens.types.size()) {
    return fail(Code::kCorrupt, "GGUF: {} tokens but {} entries of tokenizer.ggml.scores",
                tokens.types.size(), scores.size());
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i]))
      return fail(Code::kCorrupt, "GGUF: the score of token {} is no number", i);
  }
  TRY(MergeTable merges, merges_from_scores(scores, parts.vocabulary));
  TRY(const auto prefix, metadata.boolean("tokenizer.ggml.add_space_prefix"));
  BpeOptions options;
  options.byte_fallback = true;
  options.fuse_unk = true;
  TRY(const auto unk, metadata.integer("tokenizer.ggml.unknown_token_id"));
  for (size_t i = 0; i < tokens.types.size(); ++i) {
    if (tokens.types[i] == TokenType::kUnknown && !unk) options.unk = static_cast<TokenId>(i);
  }
  if (unk && *unk >= 0 && *unk < parts.vocabulary.size()) options.unk = static_cast<TokenId>(*unk);
  parts.model = Bpe(parts.vocabulary, std::move(merges), options);

  const std::string marker = "\u2581";
  std::vector<Normalizer::Step> steps;
  if (prefix.value_or(true)) steps.push_back({Normalizer::Kind::kPrepend, {}, marker});
  steps.push_back({Normalizer::Kind::kReplace, std::string(1, ' '), marker});
  parts.normalizer = Normalizer(std::move(steps));
  DecoderOptions decoder;
  decoder.kind = DecoderOptions::Kind::kPieces;
  decoder.replacements = {{marker, std::string(1, ' ')}};
  decoder.byte_fallback = true;
  if (prefix.value_or(true)) {
    decoder.strip = std::string(1, ' ');
    decoder.strip_count = 1;
  }
  parts.decoder = Decoder(std::move(decoder));
  return {};
}

// The token that a key names; nothing if there is no such key, or if the file names none by an id
// outside of the vocabulary.
Result<std::optional<TokenId>> named_token(const Metadata& metadata, std::string_view key,
                                           const Vocabulary& vocabulary) {
  TRY(const auto id, metadata.integer(key));
  if (!id || *id < 0 || *id >= vocabulary.size()) return std::nullopt;
  return static_cast<TokenId>(*id);
}

Result<void> fill_ends(const Metadata& metadata, bool adds_bos, TokenizerParts& parts) {
  TRY(parts.bos, named_token(metadata, "tokenizer.ggml.bos_token_id", parts.vocabulary));
  TRY(parts.eos, named_token(metadata, "tokenizer.ggml.eos_token_id", parts.vocabulary));
  TRY(const auto add_bos, metadata.boolean("tokenizer.ggml.add_bos_token"));
  TRY(const auto add_eos, metadata.boolean("tokenizer.ggml.add_eos_token"));
  if (add_bos.value_or(adds_bos) && parts.bos) parts.prefix = {*parts.bos};
  if (add_eos.value_or(false) && parts.eos) parts.suffix = {*parts.eos};
  return {};
}

}  // namespace

Result<std::unique_ptr<TokenizerParts>> parts_from_gguf(const Metadata& metadata) {
  TRY(const auto model, metadata.string("tokenizer.ggml.model"));
  if (!model) return fail(Code::kNotFound, "GGUF: there is no tokenizer (tokenizer.ggml.model)");
  if (*model != "gpt2" && *model != "llama") {
    return fail(Code::kUnsupported,
                "GGUF: the tokenizer model '{}' is not supported, only gpt2 and llama",
                model->substr(0, 64));
  }
  TRY(const Tokens tokens, read_tokens(metadata));
  auto parts = std::make_unique<TokenizerParts>();
  TRY(build_vocabulary(tokens, *model == "llama", *parts));
  bool adds_bos = true;
  if (*model == "gpt2") {
    TRY(const KnownSplit* known, find_split(metadata));
    TRY(fill_byte_level(metadata, *known, *parts));
    adds_bos = known->adds_bos;
  } else {
    TRY(fill_sentence_piece(metadata, tokens, *parts));
  }
  add_phi3_stripping(metadata, parts->added);
  TRY(fill_ends(metadata, adds_bos, *parts));
  return parts;
}

}  // namespace hachi::tokenizer
