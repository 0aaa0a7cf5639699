// The tools of `hachi agent`, as the command line asks for them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/tool.h"
#include "core/result.h"

namespace hachi::cli {

struct AgentToolOptions {
  std::string folder;  // whose files may be read; empty: none
  bool shell = false;
  std::vector<std::string> mcp;  // "[NAME=]COMMAND ARG…" of servers
};

// The calculator, and what the options add. Servers get until `context` is over to start.
Result<agent::Toolbox> make_toolbox(const AgentToolOptions& options,
                                    const agent::CallContext& context);

// The words of a command as a shell cuts them, without expanding anything: spaces part them, '…'
// is taken as it is, in "…" a backslash takes the meaning from " and from a backslash, elsewhere
// from any character.
Result<std::vector<std::string>> split_words(std::string_view command);

}  // namespace hachi::cli
