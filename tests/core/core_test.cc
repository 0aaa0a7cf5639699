#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <sys/resource.h>
#include <thread>

#include <gtest/gtest.h>

#include "core/buffer.h"
#include "core/checked.h"
#include "core/files.h"
#include "core/random.h"
#include "core/thread_pool.h"
#include "core/utf8.h"

namespace hachi {
namespace {

Result<int> half(int x) {
  if (x % 2 != 0) return fail(Code::kInvalidArgument, "{} is odd", x);
  return x / 2;
}

Result<int> quarter(int x) {
  TRY(const int h, half(x));
  TRY(half(h));
  return h / 2;
}

TEST(Result, TryReturnsTheFirstError) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).error().message, "3 is odd");
}

TEST(Checked, SaysWhenItOverflows) {
  EXPECT_EQ(checked_mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1), 0xFFFFFFFF00000000u);
  EXPECT_FALSE(checked_mul(uint64_t{1} << 32, uint64_t{1} << 32));
  EXPECT_FALSE(checked_add(UINT64_MAX, 1));
  EXPECT_TRUE(fits(10, 0, 10));
  EXPECT_FALSE(fits(11, 0, 10));
  EXPECT_FALSE(fits(1, UINT64_MAX, 10));
}

// The known answers that the authors of Philox publish with their code.
TEST(Random, PhiloxKnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Random, UniformIsAFunctionOfItsKeys) {
  EXPECT_EQ(uniform(7, 3), uniform(7, 3));
  EXPECT_NE(uniform(7, 3), uniform(7, 4));
  EXPECT_NE(uniform(7, 3), uniform(8, 3));
  double sum = 0;
  for (uint64_t i = 0; i < 10000; ++i) {
    const double u = uniform(1, i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
  }
  // Five standard deviations of the mean of 10,000 uniform numbers.
  EXPECT_NEAR(sum / 10000, 0.5, 5 * 0.2887 / 100);
}

TEST(Utf8, TellsWrongSequencesFromUnfinishedOnes) {
  EXPECT_TRUE(is_utf8("a\u00e9\u4e16\U0001F600"));
  EXPECT_FALSE(is_utf8("\xC0\x80"));          // overlong
  EXPECT_FALSE(is_utf8("\xED\xA0\x80"));      // surrogate
  EXPECT_FALSE(is_utf8("\xF4\x90\x80\x80"));  // above U+10FFFF
  EXPECT_EQ(replace_invalid_utf8("a\xF0\x9F\x98z"), "a\uFFFDz");
  EXPECT_EQ(replace_invalid_utf8("\xE2\x28\xA1"), "\uFFFD(\uFFFD");
  EXPECT_EQ(complete_utf8_prefix("ab\xF0\x9F\x98"), 2u);
  EXPECT_EQ(complete_utf8_prefix("ab\xF0\x9F\x98\x80"), 6u);
  EXPECT_EQ(complete_utf8_prefix("ab\x80"), 3u);      // can never become right
  EXPECT_EQ(complete_utf8_prefix("ab\xE0\x80"), 4u);  // nor can this
}

TEST(Utf8, EncodesWhatItDecodes) {
  for (uint32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 37) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    const Utf8Char back = decode_utf8(text);
    ASSERT_TRUE(back.valid);
    ASSERT_EQ(back.code_point, c);
    ASSERT_EQ(back.length, text.size());
  }
}

TEST(Processors, TakesEachCoreBeforeSecondThreads) {
  const int allowed[] = {2, 3, 5, 8, 9, 12};
  const int core_of[] = {2, 2, 5, 5, 9, 2};
  const Processors found = cores_first(allowed, core_of);
  EXPECT_EQ(found.ids, (std::vector<int>{2, 5, 9, 3, 8, 12}));
  EXPECT_EQ(found.cores, 3);
}

// The affinity mask of the calling thread, put back at the end.
class MaskGuard {
 public:
  MaskGuard() { sched_getaffinity(0, sizeof mask_, &mask_); }
  ~MaskGuard() { sched_setaffinity(0, sizeof mask_, &mask_); }
  const cpu_set_t& mask() const { return mask_; }

 private:
  cpu_set_t mask_;
};

TEST(Processors, FollowTheAffinityMask) {
  const MaskGuard guard;
  const int last = allowed_processors().ids.back();
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(allowed_processors().ids, std::vector<int>{last});
  EXPECT_EQ(allowed_processors().cores, 1);
  EXPECT_EQ(usable_cpus(), 1);
}

class CgroupTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text << "\n";
  }
  std::filesystem::path root_ = std::filesystem::path(testing::TempDir()) / "hachi_cgroup_test";
};

TEST_F(CgroupTest, HasNoLimitWhereNoneIsWritten) {
  EXPECT_EQ(cgroup_limit(root_, ""), 0);
  EXPECT_EQ(cgroup_limit(root_, "0::/a\nnonsense\n"), 0);
  write("a/cpu.max", "max 100000");
  write("cpu/cpu.cfs_quota_us", "-1");
  write("cpu/cpu.cfs_period_us", "100000");
  EXPECT_EQ(cgroup_limit(root_, "3:cpu:/a\n0::/a\n"), 0);
  for (const char* text : {"", "x y", "5", "5 0", "-5 100000", "5 -1"}) {
    write("a/cpu.max", text);
    EXPECT_EQ(cgroup_limit(root_, "0::/a\n"), 0) << text;
  }
}

TEST_F(CgroupTest, TakesTheLeastOfAGroupAndThoseAroundIt) {
  write("a/cpu.max", "150000 100000");
  write("a/b/cpu.max", "400000 100000");
  EXPECT_EQ(cgroup_limit(root_, "0::/a/b\n"), 1.5);
  EXPECT_EQ(cgroup_limit(root_, "0::/a/b/not_there\n"), 1.5);
  EXPECT_EQ(cgroup_limit(root_, "0::/\n"), 0);
  write("cpu.max", "50000 100000");
  EXPECT_EQ(cgroup_limit(root_, "0::/\n"), 0.5);
  EXPECT_EQ(cgroup_limit(root_, "0::/elsewhere\n"), 0.5);
}

TEST_F(CgroupTest, ReadsTheFirstVersion) {
  write("cpu/a/cpu.cfs_quota_us", "250000");
  write("cpu/a/cpu.cfs_period_us", "100000");
  EXPECT_EQ(cgroup_limit(root_, "2:memory:/m\n4:cpu,cpuacct:/a\n"), 2.5);
  EXPECT_EQ(cgroup_limit(root_, "2:cpuset:/a\n"), 0);
}

// The workers stay where they are put, and the caller's own mask does not change.
TEST(ThreadPool, PinsWorkersAlone) {
  const MaskGuard guard;
  const Processors allowed = allowed_processors();
  ThreadPool pool(allowed.cores, Pinning::kCores);
  std::vector<cpu_set_t> masks(static_cast<size_t>(allowed.cores));
  std::atomic<int> begun = 0;
  pool.parallel_for(allowed.cores, 1, [&](int64_t begin, int64_t end) {
    ++begun;
    while (begun < allowed.cores) std::this_thread::yield();  // so that each thread runs its own
    for (; begin < end; ++begin) {
      sched_getaffinity(0, sizeof(cpu_set_t), &masks[static_cast<size_t>(begin)]);
    }
  });
  EXPECT_TRUE(CPU_EQUAL(&masks[0], &guard.mask()));
  for (size_t i = 1; i < masks.size(); ++i) {
    EXPECT_EQ(CPU_COUNT(&masks[i]), 1);
    EXPECT_TRUE(CPU_ISSET(allowed.ids[i], &masks[i])) << i;
  }
}

TEST(ThreadPool, PinsNoneWhereThereAreTooMany) {
  const MaskGuard guard;
  const int threads = allowed_processors().cores + 1;
  ThreadPool pool(threads, Pinning::kCores);
  pool.parallel_for(threads, 1, [&](int64_t, int64_t) {
    cpu_set_t mask;
    sched_getaffinity(0, sizeof mask, &mask);
    EXPECT_TRUE(CPU_EQUAL(&mask, &guard.mask()));
  });
}

TEST(ThreadPool, CoversEachIndexOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (int64_t count : {0, 1, 2, 7, 64, 1001}) {
      for (int64_t grain : {1, 4, 2000}) {
        std::vector<int> seen(static_cast<size_t>(count));
        pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          EXPECT_EQ(begin % grain, 0);
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), count);
      }
    }
  }
}

// With more threads than processors many come late, and the caller runs what they have not begun.
TEST(ThreadPool, RunsEachOfManyShortJobsOnce) {
  ThreadPool pool(8);
  std::vector<int64_t> seen(97);
  std::vector<int64_t> expected(97);
  for (int64_t job = 0; job < 5000; ++job) {
    const int64_t count = 1 + job % 97;
    pool.parallel_for(count, 1 + job % 3, [&](int64_t begin, int64_t end) {
      for (; begin < end; ++begin) ++seen[static_cast<size_t>(begin)];
    });
    for (int64_t i = 0; i < count; ++i) ++expected[static_cast<size_t>(i)];
  }
  EXPECT_EQ(seen, expected);
}

TEST(Buffer, IsAlignedZeroedAndRefusesTheImpossible) {
  auto buffer = Buffer::allocate(1000);
  ASSERT_TRUE(buffer);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % Buffer::kAlignment, 0u);
  for (uint64_t i = 0; i < buffer->bytes(); ++i) ASSERT_EQ(buffer->data()[i], std::byte{0});
  EXPECT_EQ(Buffer::allocate(UINT64_MAX).error().code, Code::kLimit);
  EXPECT_EQ(Buffer::allocate(uint64_t{1} << 62).error().code, Code::kLimit);
}

class Files : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "hachi-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  size_t count() const {
    const std::filesystem::directory_iterator entries(folder_);
    return static_cast<size_t>(std::distance(begin(entries), end(entries)));
  }
  std::filesystem::path folder_;
};

TEST_F(Files, WritesWholeAndMapsBack) {
  const auto path = folder_ / "a";
  ASSERT_TRUE(write_file(path, "first"));
  ASSERT_TRUE(write_file(path, "second"));
  EXPECT_EQ(*read_file(path, 100), "second");
  EXPECT_EQ(MappedFile::open(path)->text(), "second");
  EXPECT_EQ(read_file(path, 3).error().code, Code::kLimit);
  EXPECT_EQ(read_file(folder_, 3).error().code, Code::kInvalidArgument);
  EXPECT_EQ(MappedFile::open(folder_ / "b").error().code, Code::kNotFound);
  EXPECT_EQ(count(), 1u);
}

// A file size limit stands in for a full disk: the same write fails half way.
TEST_F(Files, LeavesNothingBehindWhenTheDiskIsFull) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{1 << 16, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto written = write_file(folder_ / "a", std::string(1 << 20, 'x'));
  setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kIo);
  EXPECT_EQ(count(), 0u);
}

}  // namespace
}  // namespace hachi
