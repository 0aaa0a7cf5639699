#include "tokenizer/bpe.h"

#include <algorithm>
#include <functional>

#include "tokenizer/byte_letters.h"

namespace hachi::tokenizer {
namespace {

constexpr uint32_t kNone = UINT32_MAX;
// Above this many symbols a heap beats scanning all pairs for each merge.
constexpr size_t kShortSymbols = 40;

// The byte before position `at` and the one there, as one number. U+2581 counts as a byte of its
// own, 0xFF: it begins most words, and shares its first byte with quotes that end them.
size_t byte_pair(std::string_view text, size_t at) {
  constexpr std::string_view kMarker = "\u2581";
  const bool marker = text[at] == kMarker[0] && text.substr(at).starts_with(kMarker);
  const uint8_t right = marker ? 0xFF : static_cast<uint8_t>(text[at]);
  return static_cast<size_t>(static_cast<uint8_t>(text[at - 1])) << 8 | right;
}

bool continues_character(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, MergeTable merges, const BpeOptions& options)
    : vocabulary_(&vocabulary), merges_(std::move(merges)), options_(options) {
  for (size_t byte = 0; byte < 256; ++byte) {
    const auto character = static_cast<char>(byte);
    const std::string token =
        options.byte_level ? to_letters({&character, 1}) : fmt::format("<0x{:02X}>", byte);
    byte_tokens_[byte] = vocabulary.find_in_model(token);
  }
  for (size_t c = 0; c < 128; ++c) {
    const auto character = static_cast<char>(c);
    ascii_tokens_[c] = vocabulary.find_in_model({&character, 1});
  }
  find_word_borders();
}

// Where no character is ever unknown, each is its own token or its bytes' tokens, so that what
// stands on one side of a border never changes the other. Byte tokens stand for other text than
// their own: where a merge takes one, the texts of tokens say nothing about borders.
void Bpe::find_word_borders() {
  if (options_.byte_level || options_.ignore_merges || !options_.byte_fallback) return;
  std::vector<bool> is_byte_token(static_cast<size_t>(vocabulary_->size()));
  for (size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    // Gemma has a token for the tab and therefore none for its byte.
    if (byte < ascii_tokens_.size() && ascii_tokens_[byte] >= 0) continue;
    if (byte_tokens_[byte] < 0) return;
    is_byte_token[static_cast<size_t>(byte_tokens_[byte])] = true;
  }
  bool takes_byte_token = false;
  merges_.for_each([&](TokenId left, TokenId right) {
    takes_byte_token |= is_byte_token[static_cast<size_t>(left)];
    takes_byte_token |= is_byte_token[static_cast<size_t>(right)];
  });
  if (takes_byte_token) return;
  adjacent_.assign(256 * 256, false);
  for (TokenId id = 0; id < vocabulary_->size(); ++id) {
    const std::string_view text = vocabulary_->text(id);
    for (size_t at = 1; at < text.size(); ++at) adjacent_[byte_pair(text, at)] = true;
  }
}

// The first border behind `begin`, or the end of the piece.
size_t Bpe::word_end(std::string_view piece, size_t begin) const {
  size_t end = begin + 1;
  while (end < piece.size() &&
         (continues_character(piece[end]) || adjacent_[byte_pair(piece, end)])) {
    ++end;
  }
  return end;
}

void Bpe::encode(std::string_view piece, const char* readable_end, BpeScratch& scratch,
                 std::vector<TokenId>& out) const {
  if (adjacent_.empty()) return encode_word(piece, readable_end, scratch, out);
  for (size_t begin = 0; begin < piece.size();) {
    const size_t end = word_end(piece, begin);
    encode_word(piece.substr(begin, end - begin), readable_end, scratch, out);
    begin = end;
  }
}

void Bpe::encode_word(std::string_view word, const char* readable_end, BpeScratch& scratch,
                      std::vector<TokenId>& out) const {
  if (word.size() > WordCache::kMaxWordBytes) return encode_uncached(word, scratch, out);
  if (word.empty()) return;
  const auto readable = static_cast<size_t>(readable_end - word.data());
  const WordCache::Key key = WordCache::key(word, readable);
  const std::span<const TokenId> known = scratch.cache.find(key);
  if (!known.empty()) {
    out.insert(out.end(), known.begin(), known.end());
    return;
  }
  const size_t before = out.size();
  encode_uncached(word, scratch, out);
  scratch.cache.insert(key, std::span<const TokenId>(out).subspan(before));
}

void Bpe::encode_uncached(std::string_view word, BpeScratch& scratch,
                          std::vector<TokenId>& out) const {
  while (word.size() > kMaxPieceBytes) {
    size_t cut = kMaxPieceBytes;
    while (cut > kMaxPieceBytes - 4 && continues_character(word[cut])) --cut;
    encode_uncached(word.substr(0, cut), scratch, out);
    word.remove_prefix(cut);
  }
  if (options_.ignore_merges && word.size() <= kMaxTokenBytes) {
    const TokenId whole = vocabulary_->find_in_model(
        options_.byte_level ? std::string_view(scratch.letters = to_letters(word)) : word);
    if (whole >= 0) return out.push_back(whole);
  }
  split_to_symbols(word, scratch.ids);
  if (scratch.ids.size() <= kShortSymbols) {
    merge_short(scratch.ids);
  } else {
    merge_long(scratch);
  }
  out.insert(out.end(), scratch.ids.begin(), scratch.ids.end());
}

// The tokens of single bytes or characters, as the reference orders them: an unknown token that is
// pending is written when the next known character comes, after any byte tokens between.
void Bpe::split_to_symbols(std::string_view word, std::vector<TokenId>& ids) const {
  ids.clear();
  bool unk_pending = false;
  const auto add_known = [&](TokenId id) {
    if (unk_pending) ids.push_back(options_.unk);
    unk_pending = false;
    ids.push_back(id);
  };
  const auto add_unknown = [&] {
    if (options_.unk < 0) return;
    if (unk_pending && !options_.fuse_unk) ids.push_back(options_.unk);
    unk_pending = true;
  };
  if (options_.byte_level) {
    for (const char c : word) {
      const TokenId id = byte_tokens_[static_cast<uint8_t>(c)];
      id >= 0 ? add_known(id) : add_unknown();
    }
  } else {
    for (size_t at = 0, length = 0; at < word.size(); at += length) {
      length = decode_utf8(word.substr(at)).length;
      const std::string_view character = word.substr(at, length);
      const TokenId id = length == 1 ? ascii_tokens_[static_cast<uint8_t>(character[0]) & 127]
                                     : vocabulary_->find_in_model(character);
      if (id >= 0) {
        add_known(id);
      } else if (!options_.byte_fallback || !append_byte_tokens(character, ids)) {
        add_unknown();
      }
    }
  }
  if (unk_pending) ids.push_back(options_.unk);
}

bool Bpe::append_byte_tokens(std::string_view character, std::vector<TokenId>& ids) const {
  for (const char c : character) {
    if (byte_tokens_[static_cast<uint8_t>(c)] < 0) return false;
  }
  for (const char c : character) ids.push_back(byte_tokens_[static_cast<uint8_t>(c)]);
  return true;
}

void Bpe::merge_short(std::vector<TokenId>& ids) const {
  std::array<MergeTable::Merge, kShortSymbols> pairs;  // of ids[i] and ids[i + 1]
  size_t count = ids.size();
  for (size_t i = 0; i + 1 < count; ++i) pairs[i] = merges_.find(ids[i], ids[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == MergeTable::kNoRank) break;
    ids[best] = pairs[best].merged;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      ids[i] = ids[i + 1];
      pairs[i - 1] = pairs[i];
    }
    if (best > 0) pairs[best - 1] = merges_.find(ids[best - 1], ids[best]);
    if (best + 1 < count) pairs[best] = merges_.find(ids[best], ids[best + 1]);
  }
  ids.resize(count);
}

// A heap of (rank, position of the left symbol); an entry whose pair is gone or has changed since
// is skipped when it comes up. O(n log n).
void Bpe::merge_long(BpeScratch& scratch) const {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  const size_t count = scratch.ids.size();
  symbols.resize(count);
  heap.clear();
  const auto entry = [&](uint32_t left) -> uint64_t {
    const uint32_t right = symbols[left].next;
    const uint32_t rank =
        right == kNone ? kNone : merges_.find(symbols[left].id, symbols[right].id).rank;
    return static_cast<uint64_t>(rank) << 32 | left;
  };
  const auto mergeable = [](uint64_t e) { return e >> 32 != MergeTable::kNoRank; };
  for (uint32_t i = 0; i < count; ++i) {
    symbols[i] = {scratch.ids[i], i == 0 ? kNone : i - 1, i + 1 == count ? kNone : i + 1};
  }
  for (uint32_t i = 0; i + 1 < count; ++i) {
    if (mergeable(entry(i))) heap.push_back(entry(i));
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto push = [&](uint32_t left) {
    const uint64_t e = entry(left);
    if (!mergeable(e)) return;
    heap.push_back(e);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    const uint64_t top = heap.front();
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    const auto left = static_cast<uint32_t>(top);
    // A symbol that was merged into its left neighbour has the id -1, which merges with nothing.
    if (symbols[left].id < 0 || entry(left) != top) continue;
    const uint32_t right = symbols[left].next;
    symbols[left].id = merges_.find(symbols[left].id, symbols[right].id).merged;
    symbols[left].next = symbols[right].next;
    symbols[right].id = -1;
    if (symbols[left].next != kNone) symbols[symbols[left].next].previous = left;
    if (symbols[left].previous != kNone) push(symbols[left].previous);
    push(left);
  }
  scratch.ids.clear();
  for (const BpeScratch::Symbol& symbol : symbols) {
    if (symbol.id >= 0) scratch.ids.push_back(symbol.id);
  }
}

}  // namespace hachi::tokenizer
