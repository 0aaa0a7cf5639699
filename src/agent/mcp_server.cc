#include "agent/mcp_server.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "formats/printable.h"

namespace hachi::agent {
namespace {

namespace json = boost::json;

constexpr std::string_view kVersion = "2025-06-18";
constexpr std::array<std::string_view, 4> kVersions = {"2024-11-05", "2025-03-26", kVersion,
                                                       "2025-11-25"};
constexpr int kMaxPages = 100;

// The member as a text, empty if it is none.
std::string_view text_member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                : std::string_view();
}

const json::object* object_member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? nullptr : value->if_object();
}

const json::array* array_member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? nullptr : value->if_array();
}

Result<McpTool> read_tool(const json::value& value, std::string_view server) {
  const json::object* object = value.if_object();
  const json::object* schema = object == nullptr ? nullptr : object_member(*object, "inputSchema");
  if (schema == nullptr || text_member(*object, "name").empty()) {
    return fail(Code::kCorrupt, "the server {} lists a tool without a name or an inputSchema",
                server);
  }
  return McpTool{std::string(text_member(*object, "name")),
                 std::string(text_member(*object, "description")), *schema};
}

// One part of an answer: its text, or what it is.
std::string describe_part(const json::value& value) {
  const json::object* part = value.if_object();
  if (part == nullptr) return "[a part that is no object]";
  const std::string_view type = text_member(*part, "type");
  if (type == "text") return std::string(text_member(*part, "text"));
  if (type == "resource_link") {
    return fmt::format("[link to {}]", formats::printable(text_member(*part, "uri")));
  }
  const json::object* resource = object_member(*part, "resource");
  if (type == "resource" && resource != nullptr && resource->contains("text")) {
    return std::string(text_member(*resource, "text"));
  }
  return fmt::format("[a part of the type {}, which is no text]", formats::printable(type));
}

std::string describe_content(const json::object& result) {
  std::string text;
  const json::array* parts = array_member(result, "content");
  if (parts != nullptr) {
    for (const json::value& part : *parts) {
      if (!text.empty()) text += '\n';
      text += describe_part(part);
    }
  }
  const json::value* structured = result.if_contains("structuredContent");
  if (text.empty() && structured != nullptr) text = json::serialize(*structured);
  return text.empty() ? "[no content]" : text;
}

}  // namespace

Result<McpServer> McpServer::start(const ProcessCommand& command, std::string name,
                                   const CallContext& context) {
  TRY(McpChannel channel, McpChannel::start(command, std::move(name)));
  json::object parameters = {{"protocolVersion", kVersion},
                             {"capabilities", json::object()},
                             {"clientInfo", {{"name", "hachi"}, {"version", HACHI_VERSION}}}};
  TRY(const json::object result, channel.request("initialize", std::move(parameters), context));
  const std::string_view version = text_member(result, "protocolVersion");
  if (std::find(kVersions.begin(), kVersions.end(), version) == kVersions.end()) {
    return fail(Code::kUnsupported, "the server {} speaks the version {} of MCP, not {}",
                channel.name(), formats::printable(version), kVersion);
  }
  TRY(channel.notify("notifications/initialized", {}, context));
  const json::object* capabilities = object_member(result, "capabilities");
  const bool has_tools = capabilities != nullptr && capabilities->contains("tools");
  return McpServer(std::move(channel), has_tools);
}

Result<std::vector<McpTool>> McpServer::list_tools(const CallContext& context) {
  std::vector<McpTool> tools;
  if (!has_tools_) return tools;
  json::object parameters;
  for (int page = 0; page < kMaxPages; ++page) {
    TRY(const json::object result, channel_.request("tools/list", parameters, context));
    const json::array* listed = array_member(result, "tools");
    if (listed == nullptr) {
      return fail(Code::kCorrupt, "the server {} lists no tools", channel_.name());
    }
    if (listed->size() > kMaxMcpTools - tools.size()) {
      return fail(Code::kLimit, "the server {} lists more than the {} tools allowed",
                  channel_.name(), kMaxMcpTools);
    }
    for (const json::value& value : *listed) {
      TRY(McpTool tool, read_tool(value, channel_.name()));
      tools.push_back(std::move(tool));
    }
    const std::string_view cursor = text_member(result, "nextCursor");
    if (cursor.empty()) return tools;
    parameters["cursor"] = cursor;
  }
  return fail(Code::kLimit, "the server {} lists its tools on more than the {} pages allowed",
              channel_.name(), kMaxPages);
}

Result<std::string> McpServer::call(std::string_view tool, const json::object& arguments,
                                    const CallContext& context) {
  json::object parameters = {{"name", tool}};
  parameters["arguments"] = arguments;
  TRY(const json::object result, channel_.request("tools/call", std::move(parameters), context));
  std::string text = describe_content(result);
  const json::value* is_error = result.if_contains("isError");
  if (is_error != nullptr && is_error->is_bool() && is_error->get_bool()) {
    return fail(Code::kInvalidArgument, "{}", text);
  }
  return text;
}

}  // namespace hachi::agent
