// `hachi list`: the models of the store.
#pragma once

#include "core/result.h"

namespace hachi::cli {

struct ListOptions {
  bool json = false;   // one JSON object
  bool quiet = false;  // names only, one a line: what shell completion reads
};

// The subcommand: writes to standard output and returns the exit status.
Result<int> run_list(const ListOptions& options);

}  // namespace hachi::cli
