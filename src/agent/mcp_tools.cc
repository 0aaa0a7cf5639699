#include "agent/mcp_tools.h"

#include <memory>
#include <string>
#include <utility>

namespace hachi::agent {
namespace {

class McpToolCaller : public Tool {
 public:
  McpToolCaller(std::shared_ptr<McpServer> server, std::string name, McpTool tool)
      : Tool(std::move(name), std::move(tool.description), std::move(tool.parameters)),
        server_(std::move(server)),
        name_there_(std::move(tool.name)) {}

  Result<std::string> call(const boost::json::object& arguments,
                           const CallContext& context) override {
    return server_->call(name_there_, arguments, context);
  }

 private:
  std::shared_ptr<McpServer> server_;
  std::string name_there_;
};

// MCP allows dots, models do not.
std::string name_here(std::string_view prefix, std::string_view name) {
  std::string joined(prefix);
  if (!joined.empty()) joined += '_';
  joined += name;
  for (char& c : joined) {
    const bool is_allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!is_allowed) c = '_';
  }
  return joined;
}

}  // namespace

Result<void> add_mcp_tools(Toolbox& tools, McpServer server, std::string_view prefix,
                           const CallContext& context) {
  const auto shared = std::make_shared<McpServer>(std::move(server));
  TRY(auto listed, shared->list_tools(context));
  for (McpTool& tool : listed) {
    std::string name = name_here(prefix, tool.name);
    TRY(tools.add(std::make_unique<McpToolCaller>(shared, std::move(name), std::move(tool))));
  }
  return {};
}

}  // namespace hachi::agent
