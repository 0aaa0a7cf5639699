// TokenTrie: the bytes of all tokens of a vocabulary as one tree, laid out in the order of a walk
// that goes down first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "grammar/char_set.h"

namespace hachi::grammar {

// The characters that JSON strings hold without an escape; most tokens are made of these alone.
const CharSet& plain_characters();

// Longer tokens are for no text that a grammar describes; those known have at most some hundreds.
inline constexpr size_t kMaxTrieTokenBytes = 4096;

class TokenTrie {
 public:
  struct Node {
    uint32_t next;   // the node after all those below this one
    uint16_t depth;  // the first byte of a token has 1
    uint8_t byte;    // that leads here from the node above
    // How many characters the longest token below adds after this node, if all tokens below add
    // nothing but whole plain characters (see plain_characters()); else kNotPlain.
    uint8_t plain_below;
    int32_t token;  // that ends here, or -1
  };
  static constexpr uint8_t kNotPlain = 255;

  // Tokens without bytes are left out. Of tokens with the same bytes all but one are `twins`.
  explicit TokenTrie(std::span<const std::string> tokens);

  struct Twin {
    int32_t token;
    int32_t like;  // the token in the tree with the same bytes
  };

  // Within a string most tokens may come whatever they say: those of at most `chars` characters,
  // all of them plain, as a mask (bit i % 32 of word i / 32), and a tree of all others.
  struct Split {
    int chars;
    std::vector<uint32_t> plain;
    std::vector<Node> others;
  };

  std::span<const Node> nodes() const { return nodes_; }
  std::span<const Split> splits() const { return splits_; }  // by falling `chars`
  std::span<const Twin> twins() const { return twins_; }
  int max_depth() const { return max_depth_; }

 private:
  std::vector<Node> nodes_;
  std::vector<Split> splits_;
  std::vector<Twin> twins_;
  int max_depth_ = 0;
};

}  // namespace hachi::grammar
