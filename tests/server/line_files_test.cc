#include "server/line_files.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "api/batches.h"
#include "server/data_folder.h"

namespace hachi::server {
namespace {

constexpr std::string_view kBatch = "batch_0123456789abcdef0123456789abcdef";

class LineFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "hachi-lines-" + std::to_string(::getpid());
    std::filesystem::remove(path_);
  }
  void TearDown() override { std::filesystem::remove(path_); }
  void write(std::string_view text) const { std::ofstream(path_, std::ios::binary) << text; }
  std::string read() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  // What the reader gives, and the message of its error.
  std::vector<std::string> lines(size_t max_line_bytes) const {
    std::vector<std::string> out;
    auto reader = LineReader::open(path_, max_line_bytes);
    EXPECT_TRUE(reader);
    while (true) {
      const auto more = reader->next();
      if (!more) out.push_back(more.error().message);
      if (!more || !*more) return out;
      EXPECT_EQ(reader->number(), static_cast<int64_t>(out.size()) + 1);
      out.emplace_back(reader->line());
    }
  }

  // The numbers of the lines that a result file has when it is opened.
  std::vector<int64_t> reopen() const {
    std::vector<int64_t> numbers;
    const auto file = ResultFile::open(path_, kBatch, [&](int64_t number) {
      for (const int64_t one : numbers) {
        if (one == number) return false;
      }
      numbers.push_back(number);
      return true;
    });
    EXPECT_TRUE(file);
    EXPECT_EQ(file->bytes(), std::filesystem::file_size(path_));
    return numbers;
  }

  std::filesystem::path path_;
};

std::string result(int64_t number, std::string_view body = R"({"text":"\n\u0000"})") {
  std::string line;
  api::append_batch_result(line, result_id(kBatch, number), "id", "req", 200, body);
  return line;
}

TEST_F(LineFiles, AreReadLineByLine) {
  const std::string wide(700'000, 'x');  // more than is read at once
  write("a\n\r\n" + wide + "\r\nlast");
  EXPECT_EQ(lines(700'001), (std::vector<std::string>{"a", "", wide, "last"}));
  EXPECT_EQ(lines(1000),
            (std::vector<std::string>{
                "a", "", "line 3 is longer than the 1000 bytes that a line may have"}));
  write("");
  EXPECT_TRUE(lines(10).empty());
  write("\n");
  EXPECT_EQ(lines(10), std::vector<std::string>{""});
}

TEST_F(LineFiles, KeepResults) {
  {
    auto file = ResultFile::open(path_, kBatch, [](int64_t) { return true; });
    ASSERT_TRUE(file);
    EXPECT_TRUE(file->append(result(7)));
    EXPECT_TRUE(file->append(result(2)));
    EXPECT_TRUE(file->sync());
  }
  EXPECT_EQ(read(), result(7) + result(2));
  EXPECT_EQ(reopen(), (std::vector<int64_t>{7, 2}));
  EXPECT_EQ(read(), result(7) + result(2));
}

TEST_F(LineFiles, AreCutBehindTheLastWholeResult) {
  const std::string first = result(1), second = result(50'000), whole = first + second;
  for (size_t size = 0; size <= whole.size(); ++size) {
    write(whole.substr(0, size));
    const size_t kept = size < first.size() ? 0 : size < whole.size() ? first.size() : size;
    EXPECT_EQ(reopen().size(), kept == 0 ? 0u : kept == first.size() ? 1u : 2u);
    EXPECT_EQ(read(), whole.substr(0, kept));
  }
}

TEST_F(LineFiles, AreCutBeforeWhatIsNoResult) {
  const std::string first = result(1), third = result(3);
  std::string zeros = result(2);
  zeros.replace(zeros.size() / 2, 4, 4, '\0');
  std::string other = result(2);
  other[20] = 'f';  // of another batch
  std::string digits = result(2);
  digits.replace(digits.find("_0000"), 5, "_-000");
  for (const std::string& wrong : {zeros, other, digits, std::string("\n"), std::string("{}\n"),
                                   result(1), std::string(100, '\0')}) {
    write(first + wrong + third);
    EXPECT_EQ(reopen(), std::vector<int64_t>{1}) << wrong;
    EXPECT_EQ(read(), first);
  }
}

TEST(DataFolder, KnowsItsIds) {
  const auto id = fresh_id(kFileId);
  ASSERT_TRUE(id);
  EXPECT_TRUE(is_id(kFileId, *id));
  EXPECT_FALSE(is_id(kBatchId, *id));
  EXPECT_NE(*fresh_id(kFileId), *id);
  for (const char* wrong :
       {"", "file-", "file-../../../../../../../../etc/passwd",
        "file-0123456789ABCDEF0123456789abcdef", "file-0123456789abcdef0123456789abcde/"}) {
    EXPECT_FALSE(is_id(kFileId, wrong)) << wrong;
  }
}

}  // namespace
}  // namespace hachi::server
