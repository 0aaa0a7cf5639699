#include "agent/file_tools.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <sys/stat.h>

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "agent/call.h"
#include "agent/scratch_folder.h"

namespace hachi::agent {
namespace {

namespace fs = std::filesystem;

class FileToolsTest : public testing::Test {
 protected:
  FileToolsTest() {
    outer.write("secret.txt", "secret");
    outer.write("inside/notes.txt", "one\ntwo\nthree\n");
    folder = std::make_shared<Folder>(*Folder::open(inside()));
  }

  fs::path inside() const { return outer.path() / "inside"; }
  void write(const fs::path& name, std::string_view bytes) { outer.write("inside" / name, bytes); }

  std::string read(std::string_view path, std::string_view more = "") {
    ReadFile tool(folder);
    return call(tool, fmt::format(R"({{"path": {}{}}})",
                                  boost::json::serialize(boost::json::string(path)), more));
  }
  std::string list(std::string_view path) {
    ListFiles tool(folder);
    return call(
        tool, fmt::format(R"({{"path": {}}})", boost::json::serialize(boost::json::string(path))));
  }

  ScratchFolder outer;
  std::shared_ptr<const Folder> folder;
};

TEST_F(FileToolsTest, ReadLines) {
  EXPECT_EQ(read("notes.txt"), "one\ntwo\nthree\n");
  EXPECT_EQ(read("./notes.txt"), "one\ntwo\nthree\n");
  EXPECT_EQ(read("notes.txt", R"(, "offset": 2)"), "two\nthree\n[lines 2 to 3 of 3]");
  EXPECT_EQ(read("notes.txt", R"(, "limit": 1)"),
            "one\n[lines 1 to 1 of 3; the next has offset 2]");
  EXPECT_EQ(read("notes.txt", R"(, "offset": 2, "limit": 1)"),
            "two\n[lines 2 to 2 of 3; the next has offset 3]");
  EXPECT_EQ(read("notes.txt", R"(, "offset": 4)"), "error: 'notes.txt' has only 3 lines");
  EXPECT_EQ(read("notes.txt", R"(, "offset": 0)"),
            "error: the argument 'offset' must be at least 1, got 0");
  EXPECT_EQ(read("notes.txt", R"(, "limit": 9223372036854775807)"), "one\ntwo\nthree\n");
  EXPECT_EQ(read("notes.txt", R"(, "offset": 9223372036854775807)"),
            "error: 'notes.txt' has only 3 lines");
  write("open.txt", "one\ntwo");
  EXPECT_EQ(read("open.txt", R"(, "offset": 2)"), "two\n[lines 2 to 2 of 2]");
  write("empty.txt", "");
  EXPECT_EQ(read("empty.txt"), "[the file is empty]");
}

TEST_F(FileToolsTest, ReadTextsOnly) {
  write("zero.bin", std::string_view("a\0b", 3));
  write("latin.txt", "\xE4");
  EXPECT_EQ(read("zero.bin"), "error: 'zero.bin' is not a text (UTF-8)");
  EXPECT_EQ(read("latin.txt"), "error: 'latin.txt' is not a text (UTF-8)");
}

TEST_F(FileToolsTest, ReadWithinLimits) {
  write("lines.txt", [] {
    std::string text;
    for (int i = 1; i <= 600; ++i) text += fmt::format("line {}\n", i);
    return text;
  }());
  const std::string lines = read("lines.txt");
  EXPECT_NE(lines.find("line 500\n[lines 1 to 500 of 600; the next has offset 501]"),
            std::string::npos);
  const std::string wide(kMaxReadBytes - 2, 'x');
  write("wide.txt", wide + "\n" + wide + "\n");
  EXPECT_EQ(read("wide.txt"), wide + "\n[lines 1 to 1 of 2; the next has offset 2]");
  write("line.txt", std::string(kMaxReadBytes - 1, 'x') + "\u00e4" + "\nnext\n");
  const std::string cut = read("line.txt");
  EXPECT_EQ(cut.substr(0, kMaxReadBytes - 1), std::string(kMaxReadBytes - 1, 'x'));
  EXPECT_EQ(
      cut.substr(kMaxReadBytes - 1),
      fmt::format("\n[line 1 is cut: it has {} bytes]\n[lines 1 to 1 of 2; the next has offset "
                  "2]",
                  kMaxReadBytes + 2));
  write("big.txt", "");
  fs::resize_file(inside() / "big.txt", kMaxTextFileBytes + 1);
  EXPECT_EQ(read("big.txt"),
            fmt::format("error: 'big.txt' has more than the {} bytes allowed", kMaxTextFileBytes));
}

TEST_F(FileToolsTest, NeverLeaveTheFolder) {
  fs::create_symlink("../secret.txt", inside() / "link");
  fs::create_symlink(outer.path() / "secret.txt", inside() / "absolute");
  fs::create_symlink("..", inside() / "up");
  fs::create_symlink("/", inside() / "root");
  fs::create_symlink("/proc/self/cwd", inside() / "cwd");
  fs::create_symlink("hop2", inside() / "hop1");
  fs::create_symlink("up/secret.txt", inside() / "hop2");
  fs::create_symlink("loop", inside() / "loop");
  write("sub/x", "x");
  const std::string absolute = (outer.path() / "secret.txt").string();
  for (const std::string& path :
       {std::string("../secret.txt"), std::string("sub/../../secret.txt"),
        std::string("./sub/../../inside/notes.txt"), absolute, (inside() / "notes.txt").string(),
        std::string("/etc/passwd"), std::string("/proc/self/cwd/notes.txt"), std::string("link"),
        std::string("absolute"), std::string("up/secret.txt"), std::string("root/etc/passwd"),
        std::string("cwd/x"), std::string("hop1"), std::string("loop"), std::string("..")}) {
    EXPECT_EQ(read(path).rfind("error: ", 0), 0u) << path;
    EXPECT_NE(read(path).find("leads out of the folder"), std::string::npos) << path << read(path);
  }
  for (const char* path : {"..", "/", "up", "root", "cwd", "/proc/self/cwd", "sub/../.."}) {
    EXPECT_EQ(list(path).rfind("error: ", 0), 0u) << path;
  }
  EXPECT_EQ(read("sub/../notes.txt"), "one\ntwo\nthree\n");
}

TEST_F(FileToolsTest, StayInTheFolderWhenItIsRenamed) {
  fs::rename(inside(), outer.path() / "moved");
  fs::create_directory(inside());
  EXPECT_EQ(read("notes.txt"), "one\ntwo\nthree\n");
}

TEST_F(FileToolsTest, FollowLinksInside) {
  write("sub/x", "x");
  fs::create_symlink("../notes.txt", inside() / "sub/link");
  EXPECT_EQ(read("sub/link"), "one\ntwo\nthree\n");
}

TEST_F(FileToolsTest, ReadFilesAlone) {
  ASSERT_EQ(::mkfifo((inside() / "pipe").c_str(), 0600), 0);
  fs::create_directory(inside() / "sub");
  EXPECT_EQ(read("pipe"), "error: 'pipe' is not a file");
  EXPECT_EQ(read("sub"), "error: 'sub' is not a file");
  EXPECT_EQ(read(""), "error: '' is not a file");
  EXPECT_EQ(read("none"), "error: there is no 'none' in the folder");
  EXPECT_EQ(read("notes.txt/x"), "error: 'notes.txt/x' is no folder, or not in one");
  EXPECT_EQ(read(std::string_view("notes.txt\0", 10)), "error: a path cannot hold a zero byte");
  EXPECT_EQ(read(std::string(5000, 'a')).rfind("error: cannot open 'aaa", 0), 0u);
}

TEST_F(FileToolsTest, ListNamesSorted) {
  write("b/x", "x");
  write("a.txt", "12345");
  write("evil\x1B[2J\n", "");
  fs::create_symlink("a.txt", inside() / "link");
  ASSERT_EQ(::mkfifo((inside() / "pipe").c_str(), 0600), 0);
  const std::string all =
      "'evil\\x1B[2J\\x0A' (0 bytes)\na.txt (5 bytes)\nb/\nlink (link)\nnotes.txt (14 bytes)\n"
      "pipe (not a file)\n";
  EXPECT_EQ(list("."), all);
  EXPECT_EQ(list(""), all);
  ListFiles tool(folder);
  EXPECT_EQ(call(tool, "{}"), all);
  EXPECT_EQ(list("b"), "x (1 bytes)\n");
  EXPECT_EQ(list("a.txt"), "error: 'a.txt' is no folder, or not in one");
  EXPECT_EQ(list("c"), "error: there is no 'c' in the folder");
  EXPECT_EQ(call(tool, R"({"path": 1})"), "error: the argument 'path' must be a string");
  fs::create_directory(inside() / "empty");
  EXPECT_EQ(list("empty"), "[the folder is empty]");
}

TEST_F(FileToolsTest, ListOnlySoManyNames) {
  for (size_t i = 0; i < kMaxListedFiles + 3; ++i) write(fmt::format("many/{}", i), "");
  const std::string listed = list("many");
  EXPECT_EQ(std::count(listed.begin(), listed.end(), '\n'),
            static_cast<std::ptrdiff_t>(kMaxListedFiles) + 1);
  EXPECT_NE(listed.find("[and 3 more]\n"), std::string::npos);
}

TEST(FolderTest, MustBeThere) {
  EXPECT_EQ(Folder::open("/nowhere/at/all").error().code, Code::kNotFound);
  EXPECT_FALSE(Folder::open("/etc/passwd"));
}

}  // namespace
}  // namespace hachi::agent
