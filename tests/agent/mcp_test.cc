#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "agent/call.h"
#include "agent/mcp_server.h"
#include "agent/mcp_tools.h"
#include "agent/scratch_folder.h"

namespace hachi::agent {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

CallContext soon(milliseconds time = seconds(20)) { return within({}, time); }

class McpTest : public testing::Test {
 protected:
  Result<McpServer> start(const char* behaviour, CallContext context = soon()) {
    return McpServer::start(
        {.arguments = {"python3", HACHI_TEST_DIR "/agent/mcp_server.py", behaviour},
         .environment = basic_environment(),
         .errors = Errors::kToFile,
         .error_file = scratch.path() / "log"},
        "test", context);
  }

  // What a call of `tool` gives at a server of this behaviour.
  std::string call_at(const char* behaviour, const json::object& arguments = {{"text", "x"}},
                      CallContext context = soon()) {
    auto server = start(behaviour);
    EXPECT_TRUE(server) << server.error().message;
    return server ? call(*server, "echo", arguments, context) : "";
  }

  static std::string call(McpServer& server, std::string_view tool, const json::object& arguments,
                          CallContext context = soon()) {
    const auto result = server.call(tool, arguments, context);
    return result ? *result : "error: " + result.error().message;
  }

  std::string start_error(const char* behaviour, CallContext context = soon()) {
    const auto server = start(behaviour, context);
    return server ? "" : server.error().message;
  }

  std::string list_error(const char* behaviour) {
    auto server = start(behaviour);
    if (!server) return server.error().message;
    const auto tools = server->list_tools(soon());
    return tools ? "" : tools.error().message;
  }

  ScratchFolder scratch;
};

TEST_F(McpTest, ListsToolsOfAllPages) {
  auto server = start("good");
  ASSERT_TRUE(server) << server.error().message;
  const auto tools = server->list_tools(soon());
  ASSERT_TRUE(tools) << tools.error().message;
  std::string names;
  for (const McpTool& tool : *tools) names += tool.name + " ";
  EXPECT_EQ(names, "add echo fail files.read parts env sleep ");
  EXPECT_EQ(tools->front().description, "Does add.");
  EXPECT_EQ(tools->front().parameters.at("type"), "object");
}

TEST_F(McpTest, CallsTools) {
  auto server = start("good");
  ASSERT_TRUE(server) << server.error().message;
  EXPECT_EQ(call(*server, "add", {{"a", 20}, {"b", 22}}), "42");
  EXPECT_EQ(call(*server, "echo", {{"text", "line\nend \u00e4"}}), "line\nend \u00e4");
  EXPECT_EQ(call(*server, "fail", {}), "error: it went wrong");
  EXPECT_EQ(call(*server, "files.read", {}), R"({"lines":3})");
  EXPECT_EQ(call(*server, "parts", {}),
            "one\n[a part of the type 'image', which is no text]\n[a part that is no object]\n"
            "two\n[link to 'file:///y']");
  EXPECT_EQ(call(*server, "none", {}), "error: the server test refuses: Unknown tool: none");
  EXPECT_EQ(call(*server, "echo", {{"text", ""}}), "[no content]");
}

TEST_F(McpTest, CarriesLongMessagesBothWays) {
  auto server = start("good");
  ASSERT_TRUE(server) << server.error().message;
  const std::string text(3 << 20, 'x');
  EXPECT_EQ(call(*server, "echo", {{"text", text}}), text);
}

TEST_F(McpTest, ReadsWhileItWrites) {
  const std::string text(2 << 20, 'x');
  EXPECT_EQ(call_at("talks first", {{"text", text}}), text);
}

TEST_F(McpTest, TakesWhatComesBeforeTheAnswer) {
  auto server = start("lively");
  ASSERT_TRUE(server) << server.error().message;
  ASSERT_TRUE(server->list_tools(soon()));
  EXPECT_EQ(call(*server, "add", {{"a", 1}, {"b", 2}}), "3");
}

TEST_F(McpTest, KeepsSecretsOfTheEnvironment) {
  ::setenv("HACHI_TEST_SECRET", "x", 1);
  auto server = start("good");
  ::unsetenv("HACHI_TEST_SECRET");
  ASSERT_TRUE(server) << server.error().message;
  EXPECT_EQ(call(*server, "env", {}).find("SECRET"), std::string::npos);
}

TEST_F(McpTest, KeepsTheErrorsOfTheServer) {
  EXPECT_EQ(call_at("good"), "x");
  EXPECT_EQ(start_error("exit"), "the server test ended with the exit status 7");
  EXPECT_NE(scratch.read("log").find("ready"), std::string::npos);
  EXPECT_NE(scratch.read("log").find("no licence"), std::string::npos);
}

TEST_F(McpTest, RefusesServersThatItCannotUse) {
  EXPECT_EQ(start_error("refuse"), "the server test refuses: not you");
  EXPECT_EQ(start_error("old"),
            "the server test speaks the version '1999-01-01' of MCP, not 2025-06-18");
  EXPECT_EQ(start_error("deaf", soon(milliseconds(100))),
            "the answer of the server test did not come within the time limit");
  const auto nothing = McpServer::start({.arguments = {"no-such-program-at-all"}}, "test", soon());
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, Code::kNotFound);
  EXPECT_EQ(list_error("endless pages"),
            "the server test lists its tools on more than the 100 pages allowed");
  EXPECT_EQ(list_error("many tools"), "the server test lists more than the 512 tools allowed");
  EXPECT_EQ(list_error("no schema"),
            "the server test lists a tool without a name or an inputSchema");
  EXPECT_EQ(list_error("no list"), "the server test lists no tools");
  EXPECT_EQ(list_error("no tools"), "");
}

TEST_F(McpTest, GivesUpServersThatMisbehave) {
  EXPECT_EQ(call_at("die"), "error: the server test ended with the exit status 3");
  EXPECT_EQ(call_at("orphan"), "error: the server test ended with the exit status 4");
  EXPECT_EQ(call_at("garbage").rfind("error: the server test wrote what is no message: ", 0), 0u);
  EXPECT_EQ(call_at("binary").rfind("error: the server test wrote what is no message: ", 0), 0u);
  EXPECT_EQ(call_at("array").rfind("error: the server test wrote what is no message: ", 0), 0u);
  EXPECT_EQ(call_at("deep").rfind("error: the server test wrote what is no message: ", 0), 0u);
  EXPECT_EQ(call_at("no id"),
            "error: the server test wrote what is no message: it has no method and no id");
  EXPECT_EQ(call_at("no result"),
            "error: the server test answered without an object as its result");
  EXPECT_EQ(call_at("null error"), "error: the server test refuses: parse error");
  EXPECT_EQ(call_at("close"), "error: the server test closed its end of the connection");
}

TEST_F(McpTest, GivesUpServersThatFlood) {
  EXPECT_EQ(call_at("flood bytes"),
            "error: the server test sent a message of more than 8388608 bytes");
  EXPECT_EQ(call_at("flood blanks"),
            "error: the server test sent more than 33554432 bytes without answering");
  EXPECT_EQ(call_at("flood lines"),
            "error: the server test sent more than 33554432 bytes without answering");
}

TEST_F(McpTest, IsDoneWithServersThatItGaveUp) {
  auto server = start("garbage");
  ASSERT_TRUE(server) << server.error().message;
  const std::string first = call(*server, "echo", {});
  EXPECT_EQ(call(*server, "echo", {}), first);
  EXPECT_EQ("error: " + server->list_tools(soon()).error().message, first);
}

TEST_F(McpTest, DropsAnswersThatComeLate) {
  auto server = start("good");
  ASSERT_TRUE(server) << server.error().message;
  EXPECT_EQ(call(*server, "sleep", {{"seconds", 0.3}}, soon(milliseconds(50))),
            "error: the answer of the server test did not come within the time limit");
  EXPECT_EQ(call(*server, "echo", {{"text", "still here"}}), "still here");
  EXPECT_NE(scratch.read("log").find("cancelled 2"), std::string::npos);
}

TEST_F(McpTest, IsNotHeldByServersThatHang) {
  EXPECT_EQ(call_at("hang", {}, soon(milliseconds(50))),
            "error: the answer of the server test did not come within the time limit");
  std::atomic<bool> cancelled = true;
  EXPECT_EQ(call_at("good", {{"text", "x"}}, {.cancelled = &cancelled}),
            "error: cancelled before the answer of the server test came");
  EXPECT_EQ(call_at("stops reading", {{"text", std::string(4 << 20, 'x')}}, soon(milliseconds(50))),
            "error: the server test did not read its input");
}

TEST_F(McpTest, EndsTheProcess) {
  auto process =
      Process::start({.arguments = {"sh", "-c", "trap '' TERM; echo $$; cat; sleep 1000"},
                      .environment = basic_environment(),
                      .has_input = true});
  ASSERT_TRUE(process) << process.error().message;
  std::string output;
  while (output.find('\n') == output.npos) {
    process->wait(false, 50);
    process->read_some(output);
  }
  const int pid = std::atoi(output.c_str());
  EXPECT_EQ(process->stop(milliseconds(20)), 128 + SIGKILL);
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(call_at("stubborn", {}, soon(milliseconds(50))),
            "error: the answer of the server test did not come within the time limit");
}

TEST_F(McpTest, FillsAToolbox) {
  Toolbox tools;
  {
    auto server = start("good");
    ASSERT_TRUE(server) << server.error().message;
    ASSERT_TRUE(add_mcp_tools(tools, *std::move(server), "my", soon()));
  }
  EXPECT_EQ(tools.names(), "my_add, my_echo, my_fail, my_files_read, my_parts, my_env, my_sleep");
  EXPECT_EQ(agent::call(*tools.find("my_add"), R"({"a": 1, "b": 2})"), "3");
  EXPECT_EQ(agent::call(*tools.find("my_files_read"), "{}"), R"({"lines":3})");
  auto again = start("good");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(add_mcp_tools(tools, *std::move(again), "my", soon()).error().message,
            "there are two tools with the name my_add");
}

}  // namespace
}  // namespace hachi::agent
