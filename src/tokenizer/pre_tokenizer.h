// PreTokenizer: cuts a text into the pieces that merging never reaches across. A chain of splits;
// each cuts the pieces of the one before it. Pieces are made one at a time, whatever the text's
// length.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tokenizer/regex.h"
#include "tokenizer/split_scanners.h"

namespace hachi::tokenizer {

// What becomes of the text that a pattern matches.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct Split {
  // A scanner gives matches and gaps alike, so it stands for kIsolated only; a plain text is looked
  // for as it is.
  std::variant<ScanPiece, std::string, Regex> pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // what does not match is the match
};

// What is put before a text, or changed in it, ahead of the splits.
struct SplitPrefix {
  enum class When { kNever, kFirst, kAlways };  // kFirst: only where the whole text begins
  When when = When::kNever;
  std::string text;           // put before the text unless that begins with it
  std::string replace_space;  // what each space becomes; empty: stays as it is
};

class PreTokenizer {
 public:
  static constexpr size_t kMaxSplits = 8;  // the longest known chain has 4

  PreTokenizer() = default;
  // At most kMaxSplits splits.
  PreTokenizer(SplitPrefix prefix, std::vector<Split> splits)
      : prefix_(std::move(prefix)), splits_(std::move(splits)) {}

  // The text as the splits see it: itself, or a view of `buffer`.
  std::string_view prepare(std::string_view text, bool at_start, std::string& buffer) const;

  class Pieces;

 private:
  SplitPrefix prefix_;
  std::vector<Split> splits_;
};

// The pieces of one text, in order. The text and the pre-tokenizer must outlive it.
class PreTokenizer::Pieces {
 public:
  Pieces(const PreTokenizer& pre_tokenizer, std::string_view text);

  // The next piece, never empty; nothing after the last.
  std::optional<std::string_view> next();

 private:
  struct Part {
    size_t begin, end;
    bool match;
  };
  // One split at work on one piece of the split before it.
  struct Level {
    std::string_view text;
    size_t at = 0;                      // what lies before is done
    std::optional<Regex::Found> found;  // a match that begins at `at` or later
    std::optional<size_t> last_match_end;
    bool finished = true;       // nothing more to search for
    std::optional<Part> ahead;  // read already, not given yet
    Regex::Search search;
  };

  void start(Level& level, std::string_view text) const;
  std::optional<Part> next_part(const Split& split, Level& level) const;
  Part next_pattern_part(const Split& split, Level& level) const;
  std::optional<Part> next_joined(const Split& split, Level& level) const;

  const std::vector<Split>& splits_;
  std::string_view text_;
  bool given_ = false;  // with no splits, the text is the only piece
  std::vector<Level> levels_;
};

}  // namespace hachi::tokenizer
