// A subcommand: its options on the command line, and what to run when it was chosen.
#pragma once

#include <functional>

#include <CLI/App.hpp>

#include "core/result.h"

namespace hachi::cli {

struct Command {
  CLI::App* app;
  std::function<Result<int>()> run;  // the exit status, or an error that main prints as a sentence
};

// Each adds its subcommand to the program; one file each (chat.cc, run.cc, …).
Command add_chat(CLI::App& program);
Command add_run(CLI::App& program);
Command add_agent(CLI::App& program);
Command add_serve(CLI::App& program);
Command add_key(CLI::App& program);
Command add_info(CLI::App& program);
Command add_tokenize(CLI::App& program);
Command add_score(CLI::App& program);
Command add_quantize(CLI::App& program);
Command add_imatrix(CLI::App& program);
Command add_pull(CLI::App& program);
Command add_list(CLI::App& program);
Command add_bench(CLI::App& program);
Command add_completion(CLI::App& program);

}  // namespace hachi::cli
