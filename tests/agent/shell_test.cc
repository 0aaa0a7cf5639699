#include "agent/shell.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "agent/call.h"
#include "agent/scratch_folder.h"

namespace hachi::agent {
namespace {

using std::chrono::seconds;

// Whether a process of this number runs; one that was killed may stay a zombie for a while.
bool is_running(const std::string& pid) {
  std::ifstream stat("/proc/" + pid + "/stat");
  std::string number;
  std::string name;
  std::string state;
  return stat >> number >> name >> state && state != "Z" && state != "X";
}

bool ends_soon(const std::string& pid) {
  for (int i = 0; i < 500; ++i) {
    if (!is_running(pid)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

class ShellTest : public testing::Test {
 protected:
  std::string run(std::string_view command, ShellLimits limits = {}, CallContext context = {}) {
    Shell shell(scratch.path(), limits);
    const auto result = shell.call({{"command", command}}, context);
    return result ? *result : "error: " + result.error().message;
  }
  // What a command wrote into a file, without the line end.
  std::string word_in(const char* name) const {
    const std::string text = scratch.read(name);
    return text.substr(0, text.find('\n'));
  }

  ScratchFolder scratch;
};

TEST_F(ShellTest, ReturnsOutputAndErrors) {
  scratch.write("x.txt", "hello\n");
  EXPECT_EQ(run("cat x.txt; echo oops >&2; echo end"), "hello\noops\nend\n");
  EXPECT_EQ(run("true"), "[no output]");
  EXPECT_EQ(run("printf a; exit 3"), "a\n[exit status 3]");
  EXPECT_EQ(run("kill -9 $$"), "[signal 9]");
  EXPECT_EQ(run("cat"), "[no output]") << "its input is empty";
  EXPECT_EQ(run("pwd"), std::filesystem::canonical(scratch.path()).string() + "\n");
}

TEST_F(ShellTest, KeepsSecretsOfTheEnvironment) {
  ::setenv("HACHI_TEST_SECRET", "s3cret", 1);
  EXPECT_EQ(run("echo \"[$HACHI_TEST_SECRET]\"; env").find("s3cret"), std::string::npos);
  ::unsetenv("HACHI_TEST_SECRET");
  EXPECT_NE(run("env").find("PATH="), std::string::npos);
}

TEST_F(ShellTest, KeepsTheEndsOfLongOutput) {
  const std::string output =
      run("echo begin; yes middle | head -c 3000000; echo; echo end", {.output_bytes = 100});
  EXPECT_EQ(output.rfind("begin\nmiddle\n", 0), 0u);
  EXPECT_NE(output.find("\n[2999911 bytes are left out here]\n"), std::string::npos) << output;
  EXPECT_EQ(output.substr(output.size() - 5), "\nend\n");
  EXPECT_LT(output.size(), 200u);
}

TEST_F(ShellTest, KillsGrandchildrenWhenTheTimeIsOver) {
  const std::string output =
      run("sh -c 'echo $$ > grandchild; trap \"\" TERM INT HUP; while :; do sleep 1; done' & "
          "echo started; wait",
          {.time = seconds(1)});
  EXPECT_EQ(output, "started\n[killed: its time was over]");
  ASSERT_FALSE(word_in("grandchild").empty());
  EXPECT_TRUE(ends_soon(word_in("grandchild")));
}

TEST_F(ShellTest, EndsFloodsInTime) {
  const std::string output = run("yes", {.time = seconds(1), .output_bytes = 1000});
  EXPECT_NE(output.find("[killed: its time was over]"), std::string::npos);
  EXPECT_LT(output.size(), 1200u);
}

TEST_F(ShellTest, KillsWhatACommandLeavesBehind) {
  EXPECT_EQ(run("sleep 1000 & echo $! > left; echo done"), "done\n");
  ASSERT_FALSE(word_in("left").empty());
  EXPECT_TRUE(ends_soon(word_in("left")));
}

TEST_F(ShellTest, DoesNotWaitForWhatLeftTheGroup) {
  EXPECT_EQ(run("setsid sh -c 'echo $$ > left; sleep 1000' & "
                "while [ ! -s left ]; do sleep 0.01; done; echo done"),
            "done\n");
  const int left = std::atoi(word_in("left").c_str());
  ASSERT_GT(left, 1);
  ::kill(-left, SIGKILL);
}

TEST_F(ShellTest, EndsWithTheCallOfItsContext) {
  EXPECT_EQ(run("sleep 1000", {}, within({}, std::chrono::milliseconds(50))),
            "[killed: its time was over]");
  std::atomic<bool> cancelled = false;
  const auto cancel_soon = [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancelled = true;
  };
  std::thread canceller(cancel_soon);
  EXPECT_EQ(run("echo $$ > pid; exec sleep 1000", {}, {.cancelled = &cancelled}),
            "error: the command was cancelled");
  canceller.join();
  EXPECT_TRUE(ends_soon(word_in("pid")));
}

TEST_F(ShellTest, RefusesWhatItCannotRun) {
  EXPECT_EQ(run(std::string_view("a\0b", 3)), "error: a command cannot hold a zero byte");
  EXPECT_EQ(run(std::string(1 << 20, 'a')).rfind("error: cannot start sh in", 0), 0u);
  Shell nowhere("/nowhere/at/all", {});
  EXPECT_EQ(call(nowhere, R"({"command": "ls"})"),
            "error: cannot start sh in /nowhere/at/all: No such file or directory");
  EXPECT_EQ(call(nowhere, "{}"), "error: the argument 'command' must be a string");
}

}  // namespace
}  // namespace hachi::agent
