// Regex: a split pattern that has no scanner of its own, run by PCRE2.
#pragma once

#include <memory>
#include <string_view>

#include "core/result.h"

namespace hachi::tokenizer {

// Immutable and shared by threads. Patterns are read with Unicode properties; where PCRE2 knows an
// older Unicode than the reference, the newest characters count as unassigned.
class Regex {
 public:
  static constexpr size_t kMaxPatternBytes = size_t{1} << 16;
  // Steps that one search may take, as PCRE2 counts them, before it gives up.
  static constexpr uint32_t kMaxSteps = 1'000'000;
  static constexpr uint32_t kMaxHeapKiB = 16 * 1024;

  static Result<Regex> compile(std::string_view pattern);

  struct Found {
    size_t begin, end;  // bytes; both the text's size if nothing was found
    bool matched;
  };
  // The memory of a search; one thread at a time.
  class Search;

  // The first match in `text` (UTF-8) that begins at `from` or later. A search that reaches a limit
  // counts as no match: encoding never fails, the rest of the text becomes one piece.
  Found find(std::string_view text, size_t from, Search& search) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> code_;
};

class Regex::Search {
 public:
  Search();
  Search(Search&&) noexcept;
  Search& operator=(Search&&) noexcept;
  ~Search();

 private:
  friend class Regex;
  struct State;
  std::unique_ptr<State> state_;  // made at the first search
};

}  // namespace hachi::tokenizer
