#include "server/access_log.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <boost/json/parse.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "core/utf8.h"
#include "formats/temp_folder.h"
#include "server/log_writer.h"

namespace hachi::server {
namespace {

namespace fs = std::filesystem;

boost::json::object parsed(const std::string& line) {
  EXPECT_TRUE(line.ends_with('\n'));
  EXPECT_EQ(line.find('\n'), line.size() - 1) << "more than one line";
  EXPECT_TRUE(is_utf8(line));
  boost::system::error_code error;
  boost::json::value value = boost::json::parse(line, error);
  EXPECT_FALSE(error) << line;
  return value.is_object() ? value.get_object() : boost::json::object();
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

TEST(AccessLine, HasAllFields) {
  using namespace std::chrono;
  const AccessRecord record{.time = sys_days(year(2025) / 2 / 28) + 23h + 59min + 1s + 7ms + 900us,
                            .client = "127.0.0.1",
                            .key = "alice",
                            .method = "POST",
                            .path = "/v1/completions",
                            .status = 200,
                            .ms = 12.3456,
                            .model = "m",
                            .prompt_tokens = 10,
                            .cached_tokens = 0,
                            .completion_tokens = 5,
                            .ttft_ms = 1.5,
                            .finish = "stop",
                            .request_id = "r-1",
                            .error = "none",
                            .stream = false,
                            .prompt = "secret",
                            .answer = "secret"};
  EXPECT_EQ(access_line(record, false),
            "{\"time\":\"2025-02-28T23:59:01.007Z\",\"client\":\"127.0.0.1\",\"key\":\"alice\","
            "\"method\":\"POST\",\"path\":\"/v1/completions\",\"status\":200,\"ms\":12.346,"
            "\"model\":\"m\",\"stream\":false,\"prompt_tokens\":10,\"cached_tokens\":0,"
            "\"completion_tokens\":5,\"ttft_ms\":1.500,\"finish\":\"stop\",\"request_id\":\"r-1\","
            "\"error\":\"none\"}\n");
  const boost::json::object with_text = parsed(access_line(record, true));
  EXPECT_EQ(with_text.at("prompt"), "secret");
  EXPECT_EQ(with_text.at("answer"), "secret");
}

TEST(AccessLine, LeavesOutWhatIsAbsent) {
  EXPECT_EQ(access_line({.status = 404, .ms = std::nan("")}, true),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"status\":404}\n");
}

TEST(AccessLine, EscapesAndCutsWhatCameFromOutside) {
  const std::string path = "/\"\\\n\x1B[2J\x7F\xC2\x9B\xFF\xE2\x82\xAC";
  const std::string line = access_line({.path = path}, false);
  EXPECT_NE(line.find("\"/\\\"\\\\\\u000a\\u001b[2J\\u007f\\u009b\xEF\xBF\xBD\xE2\x82\xAC\""),
            std::string::npos);
  EXPECT_EQ(parsed(line).at("path"), "/\"\\\n\x1B[2J\x7F\xC2\x9B\xEF\xBF\xBD\xE2\x82\xAC");
  std::string euros;
  for (int i = 0; i < 1000; ++i) euros += "\xE2\x82\xAC";  // 3 bytes each: 256 cuts one
  const auto cut = parsed(access_line({.path = euros}, false)).at("path").as_string();
  EXPECT_EQ(std::string_view(cut), euros.substr(0, 255) + "...");
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  parsed(access_line({.path = bytes, .model = bytes, .request_id = bytes}, false));
}

class AccessLogFile : public testing::Test {
 protected:
  std::unique_ptr<AccessLog> open() {
    auto log = AccessLog::open({.file = path_});
    EXPECT_TRUE(log);
    return log ? std::move(*log) : nullptr;
  }

  formats::TempFolder folder_;
  fs::path path_ = folder_.path() / "access.log";
};

TEST_F(AccessLogFile, AppendsAndOpensAnew) {
  open()->write({.status = 1});
  const auto log = open();
  log->write({.status = 2});
  log->flush();
  fs::rename(path_, folder_.path() / "old");
  ASSERT_TRUE(log->reopen());
  log->write({.status = 3});
  log->flush();
  EXPECT_EQ(lines_of(folder_.path() / "old").size(), 2u);
  EXPECT_EQ(lines_of(path_).size(), 1u);
  fs::remove(path_);
  fs::create_directory(path_);
  EXPECT_FALSE(log->reopen());  // and the file that it has is kept
  log->write({.status = 4});
  log->flush();
  EXPECT_EQ(log->dropped(), 0);
}

TEST_F(AccessLogFile, ThreadsDoNotMixTheirLines) {
  const auto log = open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&log, t] {
      for (int i = 0; i < 500; ++i) log->write({.path = "/p", .status = t * 1000 + i});
    });
  }
  for (std::thread& thread : threads) thread.join();
  log->flush();
  std::array<int, 4> next{};
  for (const std::string& line : lines_of(path_)) {
    const auto status = parsed(line + "\n").at("status").as_int64();
    EXPECT_EQ(status % 1000, next[static_cast<size_t>(status / 1000)]++);
  }
  EXPECT_EQ(next, (std::array<int, 4>{500, 500, 500, 500}));
}

TEST_F(AccessLogFile, SaysWhyItCannotOpen) {
  const auto log = AccessLog::open({.file = folder_.path() / "no" / "such"});
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().message.find("cannot open it for the access log"), std::string::npos);
}

TEST(LogWriter, AFullDiskDropsAndCounts) {
  LogWriter writer(*LogFile::open("/dev/full"));
  for (int i = 0; i < 10; ++i) writer.write("line\n");
  writer.flush();
  EXPECT_EQ(writer.dropped(), 10);
}

TEST(LogWriter, AReaderThatIsGoneDropsAndCounts) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  LogWriter writer{LogFile(ends[1])};
  for (int i = 0; i < 10; ++i) writer.write("line\n");
  writer.flush();  // and no SIGPIPE has ended the test
  EXPECT_EQ(writer.dropped(), 10);
}

// More lines than the pipe and the buffer hold, then a reader that wakes: what comes now is whole
// again, after the line that broke off.
TEST(LogWriter, AReaderThatSleepsStopsNobody) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string line = std::string(999, 'x') + "\n";
  const int64_t num_lines = 20000;
  std::string got;
  {
    LogWriter writer{LogFile(ends[1])};
    for (int64_t i = 0; i < num_lines; ++i) writer.write(line);
    EXPECT_GT(writer.dropped(), 0);
    writer.flush();
    const int64_t num_whole = num_lines - writer.dropped();
    EXPECT_GT(num_whole, 0);
    std::string buffer(1 << 20, '\0');
    got.append(buffer, 0, static_cast<size_t>(::read(ends[0], buffer.data(), buffer.size())));
    EXPECT_EQ(std::count(got.begin(), got.end(), '\n'), num_whole);
    writer.write("after\n");
    writer.flush();
    EXPECT_EQ(writer.dropped(), num_lines - num_whole);
    got.append(buffer, 0, static_cast<size_t>(::read(ends[0], buffer.data(), buffer.size())));
  }
  ::close(ends[0]);
  EXPECT_TRUE(got.ends_with("x\nafter\n"));
}

}  // namespace
}  // namespace hachi::server
