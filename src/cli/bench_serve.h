// `hachi bench serve`, a subcommand of `hachi bench`.
#pragma once

#include "cli/command.h"

namespace hachi::cli {

Command add_bench_serve(CLI::App& bench);

}  // namespace hachi::cli
