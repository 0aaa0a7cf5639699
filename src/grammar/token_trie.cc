#include "grammar/token_trie.h"

#include <algorithm>
#include <numeric>

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
      if (!open.empty()) nodes_[open.back()].has_children = true;
      open.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back(
          {0, static_cast<uint16_t>(i + 1), static_cast<uint8_t>(bytes[i]), false, -1});
    }
    nodes_.back().token = id;
    max_depth_ = std::max(max_depth_, static_cast<int>(bytes.size()));
    last = &bytes;
  }
  close_to(0);
}

}  // namespace hachi::grammar
