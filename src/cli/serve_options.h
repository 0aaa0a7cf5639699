// What `hachi serve` can be told.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "cli/serve_models.h"
#include "output/automaton.h"
#include "server/app.h"

namespace hachi::cli {

struct ServeOptions {
  std::vector<std::string> models;
  ServeModelOptions shared;
  server::AppOptions app;
  std::string key_file;
  std::string data_folder;
  std::string access_log = "-";
  std::string chat_template;  // a file; empty: the models' own
  bool log_text = false;
  std::string pooling = "mean";
  double timeout_s = 0;
  double idle_s = 0;
  double grace_s = 30;
  uint64_t memory_budget = 0;
  bool no_prefix_cache = false;
  bool no_run_ahead = false;
  std::string preempt = "auto";
  bool lazy = false;
  // Not set: as the device has it.
  std::optional<int64_t> max_batch, step_tokens, prompt_tokens;
  std::optional<uint64_t> host_cache_bytes;
  int64_t think_budget = output::kNoBudget;
  std::vector<std::string> model_think_budgets;
  bool system_in_user = false;
};

void add_serve_options(CLI::App& app, ServeOptions& options);

// Brings what was said to where it belongs, and what was not said to what the device has.
void complete(ServeOptions& options);

}  // namespace hachi::cli
