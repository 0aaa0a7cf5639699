// A server of the Model Context Protocol: what it offers, and calling it. Version 2025-06-18 of the
// protocol, of which only tools are used; those are the same in 2024-11-05, 2025-03-26 and
// 2025-11-25.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "agent/mcp_channel.h"
#include "agent/process.h"
#include "agent/tool.h"
#include "core/result.h"

namespace hachi::agent {

inline constexpr size_t kMaxMcpTools = 512;

struct McpTool {
  std::string name;
  std::string description;
  boost::json::object parameters;
};

// Used by one thread at a time; the process ends with the object.
class McpServer {
 public:
  // Starts the program and shakes hands with it. `name` is how messages call it.
  static Result<McpServer> start(const ProcessCommand& command, std::string name,
                                 const CallContext& context);

  Result<std::vector<McpTool>> list_tools(const CallContext& context);

  // The texts of the answer, joined by line ends; other parts are named in brackets. An answer that
  // says it is an error is one.
  Result<std::string> call(std::string_view tool, const boost::json::object& arguments,
                           const CallContext& context);

 private:
  McpServer(McpChannel channel, bool has_tools)
      : channel_(std::move(channel)), has_tools_(has_tools) {}

  McpChannel channel_;
  bool has_tools_;
};

}  // namespace hachi::agent
