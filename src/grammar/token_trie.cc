#include "grammar/token_trie.h"

#include <algorithm>

#include "core/utf8.h"

namespace hachi::grammar {

TokenTrie::TokenTrie(std::span<const std::string> tokens) {
  std::vector<int32_t> order;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!tokens[i].empty()) order.push_back(static_cast<int32_t>(i));
  }
  const auto bytes_of = [&](int32_t id) -> const std::string& {
    return tokens[static_cast<size_t>(id)];
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return bytes_of(a) < bytes_of(b); });
  std::vector<uint32_t> open;  // the nodes on the way to the last token
  const auto close_to = [&](size_t depth) {
    for (; open.size() > depth; open.pop_back()) {
      nodes_[open.back()].next = static_cast<uint32_t>(nodes_.size());
    }
  };
  const std::string* last = nullptr;
  for (const int32_t id : order) {
    const std::string& bytes = bytes_of(id);
    if (last && *last == bytes) {
      twins_.push_back({id, nodes_[open.back()].token});
      continue;
    }
    const size_t common =
        last ? static_cast<size_t>(
                   std::mismatch(last->begin(), last->end(), bytes.begin(), bytes.end()).first -
                   last->begin())
             : 0;
    close_to(common);
    for (size_t i = common; i < bytes.size(); ++i) {
      open.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back(
          {0, static_cast<uint16_t>(i + 1), static_cast<uint8_t>(bytes[i]), kNotPlain, -1});
    }
    nodes_.back().token = id;
    max_depth_ = std::max(max_depth_, static_cast<int>(bytes.size()));
    last = &bytes;
  }
  close_to(0);
  for (size_t i = nodes_.size(); i-- > 0;) nodes_[i].plain_below = plain_below(i);
}

// Those of the nodes below are known.
uint8_t TokenTrie::plain_below(size_t node) const {
  uint8_t most = 0;
  for (size_t child = node + 1; child < nodes_[node].next; child = nodes_[child].next) {
    std::string bytes;
    const uint8_t lead = nodes_[child].byte;
    const uint32_t length = lead < 0x80   ? 1
                            : lead < 0xC0 ? 0
                            : lead < 0xE0 ? 2
                            : lead < 0xF0 ? 3
                                          : 4;
    if (length == 0) return kNotPlain;
    const uint8_t from = plain_from(child, bytes, length - 1);
    if (from == kNotPlain) return kNotPlain;
    most = std::max(most, from);
  }
  return most;
}

// The same from within a character, of which `bytes` were read before this node and `missing` bytes
// come after it.
uint8_t TokenTrie::plain_from(size_t node, std::string& bytes, uint32_t missing) const {
  bytes += static_cast<char>(nodes_[node].byte);
  uint8_t most = 0;
  if (missing == 0) {
    const Utf8Char c = decode_utf8(bytes);
    const uint8_t below = nodes_[node].plain_below;
    const bool is_plain = c.valid && c.length == bytes.size() &&
                          plain_characters().contains(c.code_point) && below < kNotPlain - 1;
    most = is_plain ? static_cast<uint8_t>(below + 1) : kNotPlain;
  } else if (nodes_[node].token >= 0) {
    most = kNotPlain;
  } else {
    for (size_t child = node + 1; child < nodes_[node].next && most != kNotPlain;
         child = nodes_[child].next) {
      most = std::max(most, plain_from(child, bytes, missing - 1));
    }
  }
  bytes.pop_back();
  return most;
}

const CharSet& plain_characters() {
  static const CharSet& plain =
      *new CharSet(CharSet::all().minus({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}));
  return plain;
}

}  // namespace hachi::grammar
