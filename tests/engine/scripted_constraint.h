// ScriptedConstraint: masks, forced runs and ends that follow from a hash of the tokens it
// accepted, so that it notices every token that it is told too often, too late or not at all.
#pragma once

#include <algorithm>
#include <vector>

#include "engine/constraint.h"
#include "engine/fake_model.h"

namespace hachi::engine::testing {

struct ScriptedOptions {
  int64_t vocab_size = 50;
  uint64_t seed = 0;
  double free_share = 0.2;  // of the places that allow all tokens
  double run_share = 0.1;   // of the places where a forced run begins
  double end_share = 0;     // of the places where the answer is over
  double none_share = 0;    // of the places where no token may follow
};

class ScriptedConstraint : public Constraint {
 public:
  explicit ScriptedConstraint(const ScriptedOptions& options)
      : options_(options),
        state_(FakeModel::next_state(options.seed, 0)),
        mask_(static_cast<size_t>((options.vocab_size + 31) / 32)) {
    run_.reserve(kMaxRun);
    enter();
  }

  std::span<const uint32_t> mask() override {
    if (draw(1) < options_.free_share) return {};
    std::fill(mask_.begin(), mask_.end(), 0u);
    if (draw(2) < options_.none_share) return mask_;
    for (int64_t token = 0; token < options_.vocab_size; ++token) {
      const bool allowed = draw(100 + static_cast<uint64_t>(token)) < 0.2;
      mask_[static_cast<size_t>(token / 32)] |= uint32_t{allowed} << (token % 32);
    }
    mask_[0] |= 1;
    return mask_;
  }

  std::optional<int32_t> forced() override {
    if (run_.empty()) return std::nullopt;
    return run_.back();
  }

  int64_t forced_run(std::span<int32_t> out) override {
    const size_t count = std::min(out.size(), run_.size());
    std::copy_n(run_.rbegin(), count, out.begin());
    return static_cast<int64_t>(count);
  }

  void accept(int32_t token) override {
    if (!run_.empty() && run_.back() != token) ++num_wrong_;
    ++num_accepted_;
    state_ = FakeModel::next_state(state_, token);
    if (!run_.empty()) run_.pop_back();
    if (run_.empty()) enter();
  }

  bool finished() const override { return num_accepted_ > 0 && draw(4) < options_.end_share; }

  // Tokens that came where another one was forced.
  int num_wrong() const { return num_wrong_; }

 private:
  static constexpr size_t kMaxRun = 6;

  double draw(uint64_t what) const { return uniform(state_, what, 7); }

  void enter() {
    if (draw(3) >= options_.run_share) return;
    const size_t length = 1 + static_cast<size_t>(draw(5) * (kMaxRun - 1));
    for (size_t i = 0; i < length; ++i) {
      run_.push_back(static_cast<int32_t>(draw(10 + i) * static_cast<double>(options_.vocab_size)));
    }
  }

  ScriptedOptions options_;
  uint64_t state_;
  std::vector<uint32_t> mask_;
  std::vector<int32_t> run_;  // the next token last
  int64_t num_accepted_ = 0;
  int num_wrong_ = 0;
};

}  // namespace hachi::engine::testing
