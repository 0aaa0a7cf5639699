// Normalizer: what is done to a text before it is split. A chain of NFC, a prepended text and
// replacements, which is all that the known byte-pair tokenizers use.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hachi::tokenizer {

class Normalizer {
 public:
  enum class Kind { kNfc, kPrepend, kReplace };
  struct Step {
    Kind kind;
    std::string pattern;  // kReplace: what is replaced, not empty
    std::string content;  // kPrepend, kReplace: by what
  };

  Normalizer() = default;
  explicit Normalizer(std::vector<Step> steps) : steps_(std::move(steps)) {}

  bool is_identity() const { return steps_.empty(); }

  // `text`, which is UTF-8, normalized: itself where nothing changes, else a view of `buffer` (or
  // of `other`, which holds what lies between two steps).
  std::string_view apply(std::string_view text, std::string& buffer, std::string& other) const;

 private:
  std::vector<Step> steps_;
};

// Normalization Form C of `text`, which is UTF-8: `text` itself if it is in that form by a quick
// look, else a view of `buffer`. Linear but for sorting within a run of combining marks.
std::string_view to_nfc(std::string_view text, std::string& buffer);

}  // namespace hachi::tokenizer
