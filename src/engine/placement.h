// Placement: which of several engines with the same model a request goes to. Where its beginning
// ran before, it need not run again; but a queue there may cost more than that.
//
// The cost of an engine is the tokens of the prompt that it did not run yet, as far as is
// remembered here, and kTokensARequest for each of its open requests. The least costly one takes
// the request; of equals the one with the fewest requests, then the one least recently chosen. What
// an engine has forgotten meanwhile is not known: such a choice costs time, never an answer.
//
// Sources: the same weighing of prefix against load as in SGLang's router (arXiv 2312.07104) and in
// the Gateway API Inference Extension's endpoint picker.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hachi::engine {

class Placement {
 public:
  static constexpr size_t kMaxEngines = 64;
  static constexpr int64_t kTokensARequest = 128;

  // Prefixes are known by whole pages.
  Placement(size_t num_engines, int64_t page_tokens);

  // The engine for a prompt that shares pages under `salt`, or shares none; it counts as run there
  // from now on. `num_open` says how many requests each engine has, -1 that it takes no more; if
  // none does, the first.
  size_t place(uint64_t salt, std::span<const int32_t> prompt, bool shares,
               std::span<const int64_t> num_open);

 private:
  // A beginning that ran, by its hash. A newer one with the same place in the table pushes it out.
  struct Known {
    uint64_t text = 0;
    uint64_t engines = 0;  // a bit each
  };

  Known& known(uint64_t text) { return table_[text & (table_.size() - 1)]; }
  // Pages at the beginning of `texts_` that an engine ran.
  int64_t count_known(size_t engine);

  int64_t page_tokens_;
  std::vector<Known> table_;
  std::vector<uint64_t> texts_;   // of the prompt at hand: the hash up to the end of each page
  std::vector<uint64_t> chosen_;  // when each engine was chosen last
  uint64_t num_placed_ = 0;
};

}  // namespace hachi::engine
