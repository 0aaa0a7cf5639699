// How to draw the answer: what the user asked for, else what the model's files say, else Hachi's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/App.hpp>

#include "core/result.h"
#include "engine/sampler.h"
#include "model/config.h"

namespace hachi::cli {

struct SamplingOptions {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<int64_t> top_k;
  std::optional<double> repetition_penalty;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
  std::optional<uint64_t> seed;
  std::vector<std::string> logit_bias;  // "TOKEN=BIAS"
  std::vector<std::string> stop;
  int64_t max_tokens = -1;
};

void add_sampling_options(CLI::App& app, SamplingOptions& options);

// Sets one of them by its name on the command line without the dashes ("top-p"): chat's /set.
Result<void> set_sampling_option(SamplingOptions& options, std::string_view name,
                                 std::string_view value);

// Without a seed, a fresh one.
Result<engine::SamplingParams> sampling_params(const SamplingOptions& options,
                                               const model::SamplingDefaults& defaults);

}  // namespace hachi::cli
