#include "grammar/token_trie.h"

#include <algorithm>
#include <string_view>

#include "core/utf8.h"

namespace hachi::grammar {

namespace {

using Node = TokenTrie::Node;

// Past the first, each holds most of what the one before left to the other tree: a string that may
// take so many characters more is as quick as one without an end.
constexpr int kSplitChars[] = {16, 8, 4};

// How many characters the bytes are, if all are plain; else 0.
int num_plain(std::string_view bytes) {
  int count = 0;
  while (!bytes.empty()) {
    const Utf8Char c = decode_utf8(bytes);
    if (!c.valid || !plain_characters().contains(c.code_point)) return 0;
    bytes.remove_prefix(c.length);
    ++count;
  }
  return count;
}

uint8_t plain_below(std::span<const Node> nodes, size_t node);

// The same as plain_below() from within a character, of which `bytes` were read before this node
// and `missing` bytes come after it.
uint8_t plain_from(std::span<const Node> nodes, size_t node, std::string& bytes, uint32_t missing) {
  bytes += static_cast<char>(nodes[node].byte);
  uint8_t most = 0;
  if (missing == 0) {
    const Utf8Char c = decode_utf8(bytes);
    const uint8_t below = nodes[node].plain_below;
    const bool is_plain = c.valid && c.length == bytes.size() &&
                          plain_characters().contains(c.code_point) &&
                          below < TokenTrie::kNotPlain - 1;
    most = is_plain ? static_cast<uint8_t>(below + 1) : TokenTrie::kNotPlain;
  } else if (nodes[node].token >= 0) {
    most = TokenTrie::kNotPlain;
  } else {
    for (size_t child = node + 1; child < nodes[node].next && most != TokenTrie::kNotPlain;
         child = nodes[child].next) {
      most = std::max(most, plain_from(nodes, child, bytes, missing - 1));
    }
  }
  bytes.pop_back();
  return most;
}

// Node::plain_below; those of the nodes below are known.
uint8_t plain_below(std::span<const Node> nodes, size_t node) {
  uint8_t most = 0;
  for (size_t child = node + 1; child < nodes[node].next; child = nodes[child].next) {
    std::string bytes;
    const uint8_t lead = nodes[child].byte;
    const uint32_t length = lead < 0x80   ? 1
                            : lead < 0xC0 ? 0
                            : lead < 0xE0 ? 2
                            : lead < 0xF0 ? 3
                                          : 4;
    if (length == 0) return TokenTrie::kNotPlain;
    const uint8_t from = plain_from(nodes, child, bytes, length - 1);
    if (from == TokenTrie::kNotPlain) return TokenTrie::kNotPlain;
    most = std::max(most, from);
  }
  return most;
}

// The tree of `ids`, which are in the order of their bytes, no two of them with the same.
std::vector<Node> make_tree(std::span<const std::string> tokens, std::span<const int32_t> ids) {
  std::vector<Node> nodes;
  std::vector<uint32_t> open;  // the nodes on the way to the last token
  const auto close_to = [&](size_t depth) {
    for (; open.size() > depth; open.pop_back()) {
      nodes[open.back()].next = static_cast<uint32_t>(nodes.size());
    }
  };
  std::string_view last;
  for (const int32_t id : ids) {
    const std::string& bytes = tokens[static_cast<size_t>(id)];
    const auto common = static_cast<size_t>(
        std::mismatch(last.begin(), last.end(), bytes.begin(), bytes.end()).first - last.begin());
    close_to(common);
    for (size_t i = common; i < bytes.size(); ++i) {
      open.push_back(static_cast<uint32_t>(nodes.size()));
      nodes.push_back({0, static_cast<uint16_t>(i + 1), static_cast<uint8_t>(bytes[i]),
                       TokenTrie::kNotPlain, -1});
    }
    nodes.back().token = id;
    last = bytes;
  }
  close_to(0);
  for (size_t i = nodes.size(); i-- > 0;) nodes[i].plain_below = plain_below(nodes, i);
  return nodes;
}

TokenTrie::Split split(std::span<const std::string> tokens, std::span<const int32_t> ids,
                       int chars) {
  TokenTrie::Split split{chars, std::vector<uint32_t>((tokens.size() + 31) / 32), {}};
  std::vector<int32_t> others;
  for (const int32_t id : ids) {
    const int count = num_plain(tokens[static_cast<size_t>(id)]);
    if (count == 0 || count > chars) {
      others.push_back(id);
    } else {
      split.plain[static_cast<size_t>(id) / 32] |= uint32_t{1} << (id % 32);
    }
  }
  split.others = make_tree(tokens, others);
  return split;
}

}  // namespace

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
  std::vector<int32_t> ids;
  for (const int32_t id : order) {
    if (!ids.empty() && bytes_of(ids.back()) == bytes_of(id)) {
      twins_.push_back({id, ids.back()});
      continue;
    }
    ids.push_back(id);
    max_depth_ = std::max(max_depth_, static_cast<int>(bytes_of(id).size()));
  }
  nodes_ = make_tree(tokens, ids);
  for (const int chars : kSplitChars) splits_.push_back(split(tokens, ids, chars));
}

const CharSet& plain_characters() {
  static const CharSet& plain =
      *new CharSet(CharSet::all().minus({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}));
  return plain;
}

}  // namespace hachi::grammar
