#include "tokenizer/vocabulary.h"

#include <algorithm>

#include "tokenizer/hash.h"

namespace hachi::tokenizer {

Result<Vocabulary> Vocabulary::build(const std::vector<Entry>& entries) {
  size_t count = 0;
  uint64_t total_bytes = 0;
  for (const Entry& entry : entries) {
    if (entry.id < 0 || static_cast<size_t>(entry.id) >= kMaxTokens) {
      return fail(Code::kCorrupt, "tokenizer: token id {} is not between 0 and {}", entry.id,
                  kMaxTokens - 1);
    }
    if (entry.text.size() > kMaxTokenBytes) {
      return fail(Code::kLimit, "tokenizer: token {} has {} bytes, more than {}", entry.id,
                  entry.text.size(), kMaxTokenBytes);
    }
    count = std::max(count, static_cast<size_t>(entry.id) + 1);
    total_bytes += entry.text.size();
  }
  if (total_bytes > UINT32_MAX) {
    return fail(Code::kLimit, "tokenizer: the texts of the tokens have {} bytes, more than 4 GiB",
                total_bytes);
  }

  Vocabulary vocabulary;
  std::vector<std::string_view> texts(count);
  vocabulary.present_.resize(count);
  vocabulary.in_model_.resize(count);
  for (const Entry& entry : entries) {
    const auto id = static_cast<size_t>(entry.id);
    if (vocabulary.present_[id]) {
      return fail(Code::kCorrupt, "tokenizer: id {} belongs to two tokens", entry.id);
    }
    vocabulary.present_[id] = true;
    vocabulary.in_model_[id] = entry.in_model;
    texts[id] = entry.text;
  }
  vocabulary.bytes_.reserve(total_bytes);
  vocabulary.ends_.reserve(count + 1);
  vocabulary.slots_.assign(table_size(entries.size()), {});
  const size_t mask = vocabulary.slots_.size() - 1;
  for (size_t id = 0; id < count; ++id) {
    vocabulary.bytes_ += texts[id];
    vocabulary.ends_.push_back(static_cast<uint32_t>(vocabulary.bytes_.size()));
    if (!vocabulary.present_[id]) continue;
    if (vocabulary.find(texts[id]) >= 0) {
      return fail(Code::kCorrupt, "tokenizer: ids {} and {} are the same token",
                  vocabulary.find(texts[id]), id);
    }
    const uint64_t hash = hash_bytes(texts[id]);
    size_t slot = hash & mask;
    while (vocabulary.slots_[slot].id >= 0) slot = (slot + 1) & mask;
    vocabulary.slots_[slot] = {static_cast<uint32_t>(hash >> 32), static_cast<TokenId>(id)};
  }
  return vocabulary;
}

TokenId Vocabulary::find(std::string_view wanted) const {
  const uint64_t hash = hash_bytes(wanted);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  for (size_t slot = hash & mask; slots_[slot].id >= 0; slot = (slot + 1) & mask) {
    if (slots_[slot].tag == tag && text(slots_[slot].id) == wanted) return slots_[slot].id;
  }
  return -1;
}

}  // namespace hachi::tokenizer
