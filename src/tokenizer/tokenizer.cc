#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <mutex>

#include "core/files.h"
#include "core/utf8.h"
#include "formats/json.h"
#include "tokenizer/tokenizer_parts.h"

namespace hachi::tokenizer {
namespace {

// Buffers above this size are given back after a call.
constexpr size_t kMaxKeptBytes = size_t{1} << 20;

struct Scratch {
  BpeScratch bpe;
  std::string normalized, normalized_other, prepared;

  void release_large() {
    for (std::string* s : {&normalized, &normalized_other, &prepared}) {
      if (s->capacity() > kMaxKeptBytes) *s = std::string();
    }
    if (bpe.ids.capacity() * sizeof(TokenId) > kMaxKeptBytes) bpe.ids = {};
    if (bpe.symbols.capacity() * sizeof(BpeScratch::Symbol) > kMaxKeptBytes) bpe.symbols = {};
    if (bpe.heap.capacity() * sizeof(uint64_t) > kMaxKeptBytes) bpe.heap = {};
  }
};

bool overlaps(std::span<const TextRange> ranges, size_t begin, size_t end) {
  const auto first = std::partition_point(ranges.begin(), ranges.end(),
                                          [&](const TextRange& r) { return r.end <= begin; });
  return first != ranges.end() && first->begin < end;
}

// `text` with each wrong sequence replaced, and its ranges moved to where they lie then.
std::string repair(std::string_view text, std::vector<TextRange>& ranges) {
  std::vector<size_t*> borders;
  for (TextRange& range : ranges) borders.insert(borders.end(), {&range.begin, &range.end});
  std::string out;
  out.reserve(text.size());
  size_t next = 0;
  for (size_t at = 0; at < text.size();) {
    for (; next < borders.size() && *borders[next] <= at; ++next) *borders[next] = out.size();
    const Utf8Char c = decode_utf8(text.substr(at));
    append_utf8(out, c.code_point);
    at += c.length;
  }
  for (; next < borders.size(); ++next) *borders[next] = out.size();
  return out;
}

// One call of encode(): text, then segments between added tokens, then pieces, then ids.
class Encoding {
 public:
  Encoding(const TokenizerParts& parts, const AddedTokenFinder& raw,
           const AddedTokenFinder& normalized, const EncodeOptions& options,
           std::span<const TextRange> plain, Scratch& scratch, std::vector<TokenId>& out)
      : parts_(parts),
        raw_(raw),
        normalized_(normalized),
        options_(options),
        plain_(plain),
        scratch_(scratch),
        out_(out) {}

  void run(std::string_view text) {
    const auto accept = [&](const AddedTokenFinder::Match& match) {
      return !match.token->special || !overlaps(plain_, match.begin, match.end);
    };
    split(raw_, text, accept, [&](size_t begin, size_t end) {
      encode_segment(text.substr(begin, end - begin), begin);
    });
  }

 private:
  // Cuts `text` at the added tokens of `finder`: their ids go to the output, on_text(begin, end)
  // gets what lies between, all in order.
  template <class Accept, class OnText>
  void split(const AddedTokenFinder& finder, std::string_view text, Accept accept, OnText on_text) {
    size_t done = 0;
    size_t space_begin = 0, space_end = 0;  // white space that the last rstrip took along
    for (auto match = finder.find(text, 0, accept); match;
         match = finder.find(text, match->end, accept)) {
      const AddedToken& token = *match->token;
      if (token.special && !options_.parse_special) continue;
      auto [_, begin, end] = *match;
      if (token.single_word &&
          (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) {
        continue;
      }
      if (token.lstrip && begin > done) begin -= trailing_space(text.substr(done, begin - done));
      if (token.rstrip) {
        if (end < space_begin || end > space_end) {
          space_begin = end;
          space_end = end + leading_space(text.substr(end));
        }
        end = space_end;
      }
      if (done < begin) on_text(done, begin);
      out_.push_back(token.id);
      done = end;
    }
    if (done < text.size()) on_text(done, text.size());
  }

  // A segment without raw added tokens; `offset` is where it lies in the text.
  void encode_segment(std::string_view segment, size_t offset) {
    const std::string_view text =
        parts_.normalizer.apply(segment, scratch_.normalized, scratch_.normalized_other);
    if (normalized_.empty()) return encode_text(text, offset == 0);
    // Where normalizing may have moved the text, one byte from a user makes all of the segment his.
    const bool same_offsets = parts_.normalizer.is_identity();
    const bool touched = overlaps(plain_, offset, offset + segment.size());
    const auto accept = [&](const AddedTokenFinder::Match& match) {
      if (!match.token->special || !touched) return true;
      return same_offsets && !overlaps(plain_, offset + match.begin, offset + match.end);
    };
    split(normalized_, text, accept, [&](size_t begin, size_t end) {
      encode_text(text.substr(begin, end - begin), offset == 0 && begin == 0);
    });
  }

  void encode_text(std::string_view text, bool at_start) {
    text = parts_.pre_tokenizer.prepare(text, at_start, scratch_.prepared);
    const char* end = text.data() + text.size();
    PreTokenizer::Pieces pieces(parts_.pre_tokenizer, text);
    while (const auto piece = pieces.next()) parts_.model.encode(*piece, end, scratch_.bpe, out_);
  }

  const TokenizerParts& parts_;
  const AddedTokenFinder& raw_;
  const AddedTokenFinder& normalized_;
  const EncodeOptions& options_;
  const std::span<const TextRange> plain_;
  Scratch& scratch_;
  std::vector<TokenId>& out_;
};

}  // namespace

struct Tokenizer::Shared {
  std::unique_ptr<TokenizerParts> parts;
  AddedTokenFinder raw, normalized;
  std::vector<bool> special;  // by id

  std::mutex mutex;
  std::vector<std::unique_ptr<Scratch>> idle;  // guarded by mutex

  std::unique_ptr<Scratch> borrow() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        auto scratch = std::move(idle.back());
        idle.pop_back();
        return scratch;
      }
    }
    return std::make_unique<Scratch>();
  }
  void give_back(std::unique_ptr<Scratch> scratch) {
    scratch->release_large();
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(scratch));
  }
};

Tokenizer::Tokenizer(std::unique_ptr<TokenizerParts> parts) : shared_(std::make_unique<Shared>()) {
  shared_->special.resize(static_cast<size_t>(parts->vocabulary.size()));
  std::vector<AddedToken> raw, normalized;
  std::string buffer, other;
  for (const AddedToken& token : parts->added) {
    if (token.special) shared_->special[static_cast<size_t>(token.id)] = true;
    if (!token.normalized) {
      raw.push_back(token);
      continue;
    }
    AddedToken changed = token;
    changed.text = std::string(parts->normalizer.apply(token.text, buffer, other));
    if (!changed.text.empty()) normalized.push_back(std::move(changed));
  }
  // Normalizing may make two texts the same; the first stays.
  std::stable_sort(normalized.begin(), normalized.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.text < b.text; });
  const auto same = [](const AddedToken& a, const AddedToken& b) { return a.text == b.text; };
  normalized.erase(std::unique(normalized.begin(), normalized.end(), same), normalized.end());
  shared_->raw = AddedTokenFinder(std::move(raw));
  shared_->normalized = AddedTokenFinder(std::move(normalized));
  shared_->parts = std::move(parts);
}

Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::from_json(std::string_view tokenizer_json) {
  TRY(std::unique_ptr<TokenizerParts> parts, parts_from_json(tokenizer_json));
  return Tokenizer(std::move(parts));
}

Result<Tokenizer> Tokenizer::from_gguf(const formats::Metadata& metadata) {
  TRY(std::unique_ptr<TokenizerParts> parts, parts_from_gguf(metadata));
  return Tokenizer(std::move(parts));
}

Result<Tokenizer> Tokenizer::load(const formats::Checkpoint& checkpoint) {
  if (checkpoint.tokenizer_json().empty()) return from_gguf(checkpoint.metadata());
  TRY(Tokenizer tokenizer, from_json(checkpoint.tokenizer_json()));
  tokenizer.take_names(checkpoint.tokenizer_config());
  return tokenizer;
}

void Tokenizer::take_names(const formats::Metadata& tokenizer_config) {
  // A token is named by its text, or by an object that holds the text.
  const auto named = [&](const std::string& key) -> std::optional<TokenId> {
    for (const std::string& name : {key, key + ".content"}) {
      const auto text = tokenizer_config.string(name);
      if (text && *text) return id(**text);
    }
    return std::nullopt;
  };
  TokenizerParts& parts = *shared_->parts;
  if (const auto id = named("bos_token")) parts.bos = id;
  if (const auto id = named("eos_token")) parts.eos = id;
}

Result<Tokenizer> Tokenizer::open(const std::filesystem::path& path) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(path, error);
  const std::filesystem::path file = folder ? path / "tokenizer.json" : path;
  if (file.extension() == ".json") {
    TRY(const std::string text, read_file(file, formats::kMaxJsonBytes));
    TRY(Tokenizer tokenizer, from_json(text));
    const std::filesystem::path config = path / "tokenizer_config.json";
    if (!folder || !std::filesystem::exists(config, error)) return tokenizer;
    TRY(const std::string names, read_file(config, formats::kMaxJsonBytes));
    TRY(const auto object, formats::parse_json_object(names, config.string()));
    TRY(const formats::Metadata metadata, formats::flatten(object, config.string()));
    tokenizer.take_names(metadata);
    return tokenizer;
  }
  TRY(const formats::Checkpoint checkpoint, formats::Checkpoint::open(path));
  return load(checkpoint);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const TokenizerParts& parts = *shared_->parts;
  std::vector<TokenId> ids;
  ids.reserve(text.size() / 4 + 8);
  if (options.add_special) ids = parts.prefix;
  std::string repaired;
  std::vector<TextRange> moved;
  std::span<const TextRange> plain = options.plain;
  if (!is_utf8(text)) {
    moved.assign(plain.begin(), plain.end());
    repaired = repair(text, moved);
    text = repaired;
    plain = moved;
  }
  std::unique_ptr<Scratch> scratch = shared_->borrow();
  Encoding(parts, shared_->raw, shared_->normalized, options, plain, *scratch, ids).run(text);
  shared_->give_back(std::move(scratch));
  if (options.add_special) ids.insert(ids.end(), parts.suffix.begin(), parts.suffix.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string out;
  DecodeState state;
  for (const TokenId id : ids) {
    if (!shared_->parts->vocabulary.contains(id) || (skip_special && is_special(id))) continue;
    shared_->parts->decoder.push(token(id), state, out);
  }
  shared_->parts->decoder.finish(state, out);
  return out;
}

int32_t Tokenizer::vocab_size() const { return shared_->parts->vocabulary.size(); }

int32_t Tokenizer::rows_needed() const {
  int32_t rows = vocab_size();
  while (rows > 0 && is_special(rows - 1)) --rows;
  return rows;
}

std::optional<TokenId> Tokenizer::id(std::string_view token) const {
  const TokenId id = shared_->parts->vocabulary.find(token);
  return id >= 0 ? std::optional(id) : std::nullopt;
}

std::string_view Tokenizer::token(TokenId id) const { return shared_->parts->vocabulary.text(id); }

std::string Tokenizer::token_bytes(TokenId id) const {
  if (!shared_->parts->vocabulary.contains(id) || is_special(id)) return {};
  return shared_->parts->decoder.bytes(token(id));
}

bool Tokenizer::is_special(TokenId id) const {
  return id >= 0 && id < vocab_size() && shared_->special[static_cast<size_t>(id)];
}

std::optional<TokenId> Tokenizer::bos() const { return shared_->parts->bos; }
std::optional<TokenId> Tokenizer::eos() const { return shared_->parts->eos; }

std::string StreamDecoder::push(TokenId id) {
  std::string out;
  if (skip_special_ && tokenizer_->is_special(id)) return out;
  if (!tokenizer_->shared_->parts->vocabulary.contains(id)) return out;
  tokenizer_->shared_->parts->decoder.push(tokenizer_->token(id), state_, out);
  return out;
}

std::string StreamDecoder::finish() {
  std::string out;
  tokenizer_->shared_->parts->decoder.finish(state_, out);
  return out;
}

}  // namespace hachi::tokenizer
