#include "output/token_table.h"

namespace hachi::output {
namespace {

constexpr size_t kMaxFollowers = 3;  // bytes of a character behind its first

bool follows(char byte) { return (static_cast<uint8_t>(byte) & 0xc0) == 0x80; }

}  // namespace

TokenTable::TokenTable(const tokenizer::Tokenizer& tokenizer, int64_t vocab_size)
    : tokenizer_(&tokenizer), vocab_size_(vocab_size) {
  const int64_t count = std::min<int64_t>(vocab_size, tokenizer.vocab_size());
  for (tokenizer::TokenId token = 0; token < count; ++token) {
    const std::string added = tokenizer.token_bytes(token);
    if (added.empty()) continue;
    entries_.push_back(
        {static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(added.size()), token});
    text_ += added;
    if (added.size() <= kMaxFollowers && std::all_of(added.begin(), added.end(), follows)) {
      followers_.push_back({token, static_cast<int>(added.size())});
    }
  }
  std::sort(entries_.begin(), entries_.end(), [this](const Entry& a, const Entry& b) {
    return bytes(a) != bytes(b) ? bytes(a) < bytes(b) : a.token < b.token;
  });
}

}  // namespace hachi::output
