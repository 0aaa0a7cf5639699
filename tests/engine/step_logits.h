// Logits of a model that an engine runs, for tests that compare two of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "engine/step_model.h"

namespace hachi::engine::testing {

// The logits after each of `ids` as one sequence, run `step` tokens at a time, on pages that do not
// follow each other: for up to 8 of them.
inline std::vector<float> step_logits(StepModel& model, std::span<const int32_t> ids, size_t step) {
  const std::vector<int32_t> pages = {5, 0, 3, 1, 7, 2, 6, 4};
  std::vector<float> all;
  for (size_t at = 0; at < ids.size(); at += step) {
    const auto part = ids.subspan(at, std::min(step, ids.size() - at));
    std::vector<int32_t> positions(part.size());
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(at));
    const ops::SequenceSpan span{0, static_cast<int64_t>(part.size()), pages};
    model.forward({part, positions, {&span, 1}});
    std::vector<int64_t> rows(part.size());
    std::iota(rows.begin(), rows.end(), 0);
    const ConstTensor out = model.logits(rows);
    all.insert(all.end(), out.as<float>(), out.as<float>() + out.size(0) * out.size(1));
  }
  return all;
}

// The length of the difference over that of `expected`.
inline double relative_error(std::span<const float> got, std::span<const float> expected) {
  EXPECT_EQ(got.size(), expected.size());
  double error = 0, norm = 0;
  for (size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
    error += std::pow(static_cast<double>(got[i]) - static_cast<double>(expected[i]), 2);
    norm += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(error / norm);
}

}  // namespace hachi::engine::testing
