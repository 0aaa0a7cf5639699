// The tools of an MCP server in a toolbox.
#pragma once

#include <string_view>

#include "agent/mcp_server.h"
#include "agent/tool.h"
#include "core/result.h"

namespace hachi::agent {

// Adds each tool that the server lists, as prefix_tool, or under its own name if `prefix` is empty;
// what a name cannot hold becomes "_". The tools own the server: it ends with the last of them.
// Fails if a name is taken or too long; `tools` then may hold some of them.
Result<void> add_mcp_tools(Toolbox& tools, McpServer server, std::string_view prefix,
                           const CallContext& context);

}  // namespace hachi::agent
