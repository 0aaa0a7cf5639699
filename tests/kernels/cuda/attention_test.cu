// Attention on a GPU against double loops on the host.
#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/attention_call.cuh"

namespace hachi::ops::cuda {
namespace {

void run(const Case& c) {
  Call r(c);
  r.on_gpu();
  r.check();
}

std::vector<Sequence> singles(const std::vector<int>& lengths) {
  std::vector<Sequence> out;
  for (int n : lengths) out.push_back({n - 1, 1, static_cast<unsigned>(n)});
  return out;
}

const std::vector<int> kLengths = {1, 2, 16, 17, 31, 32, 33, 127, 128, 129, 255, 256, 257, 1000};

TEST(AttendOne, ReadsEachLengthAlone) {
  for (int n : {1, 31, 33, 128, 129, 1000, 4097}) {
    SCOPED_TRACE(n);
    Case c;
    c.sequences = singles({n});
    run(c);
  }
}

TEST(AttendOne, ReadsManyLengthsAtOnce) {
  for (int width : {64, 96, 128, 256}) {
    SCOPED_TRACE(width);
    Case c;
    c.heads = 8, c.kv_heads = 2, c.width = width;
    c.sequences = singles(kLengths);
    run(c);
  }
}

// Which most workers share.
TEST(AttendOne, ReadsALongOneAmongShortOnes) {
  for (const DType cache : {DType::kBF16, DType::kF8E4M3}) {
    Case c;
    c.heads = 8, c.kv_heads = 2, c.cache = cache;
    for (int i = 0; i < 40; ++i) {
      c.sequences.push_back({i == 23 ? 19999 : i % 60, 1, static_cast<unsigned>(i)});
    }
    run(c);
  }
}

// More than a launch takes, of any lengths.
TEST(AttendOne, ReadsHundreds) {
  for (int count : {17, 64, 100, 300}) {
    SCOPED_TRACE(count);
    Case c;
    c.heads = 8, c.kv_heads = 2;
    for (int i = 0; i < count; ++i) {
      const int length = i % 11 == 5 ? 700 + 9 * i : 1 + (i * 53) % 400;
      c.sequences.push_back({length - 1, 1, static_cast<unsigned>(i)});
    }
    for (int64_t window : {0, 100}) {
      c.window = window;
      run(c);
    }
  }
}

TEST(AttendOne, TakesTheShapesOfModels) {
  struct Shape {
    int heads, kv_heads, width;
  };
  for (Shape s : {Shape{9, 3, 64},
                  {28, 4, 128},
                  {8, 8, 128},
                  {32, 4, 64},
                  {16, 2, 128},
                  {5, 1, 64},
                  Shape{3, 3, 96},
                  {6, 2, 96},
                  {8, 1, 96},
                  {8, 4, 256},
                  {4, 1, 256},
                  {8, 1, 256}}) {
    for (DType cache : {DType::kBF16, DType::kF16, DType::kF8E4M3}) {
      SCOPED_TRACE(testing::Message() << s.heads << "/" << s.kv_heads << " x " << s.width);
      Case c;
      c.heads = s.heads, c.kv_heads = s.kv_heads, c.width = s.width, c.cache = cache;
      c.norm = s.heads % 2 == 0, c.interleaved = s.kv_heads == 4;
      c.next_int8 = cache != DType::kF16;
      c.sequences = singles({5, 300, 1, 700, 2100});
      run(c);
    }
  }
}

TEST(AttendOne, SeesAWindow) {
  for (int window : {1, 7, 32, 100, 500}) {
    SCOPED_TRACE(window);
    Case c;
    c.window = window;
    c.sequences = singles({1, 7, 33, 100, 101, 777, 1500});
    run(c);
    for (int width : {96, 256}) {
      c.heads = 8, c.kv_heads = 2, c.width = width;
      run(c);
    }
  }
}

TEST(AttendOne, TakesOtherShapesPlainly) {
  for (int width : {8, 72, 160, 256}) {
    for (DType type : {DType::kF32, DType::kBF16}) {
      SCOPED_TRACE(width);
      Case c;
      c.heads = 4, c.kv_heads = 2, c.width = width, c.type = type, c.cache = type;
      c.window = width == 72 ? 50 : 0, c.interleaved = width == 160, c.next_int8 = width == 256;
      c.sequences = singles({1, 40, 300});
      run(c);
    }
  }
}

class AttendOneOf : public testing::TestWithParam<int> {};

TEST_P(AttendOneOf, ResultsDoNotDependOnAFewOthers) {
  Case c;
  c.width = GetParam();
  for (int i = 0; i < attend::kFewRows; ++i) {
    c.sequences.push_back({(i * 37) % 600 + (i == 10 ? 2000 : 0), 1, static_cast<unsigned>(i)});
  }
  Call all(c);
  all.on_gpu();
  for (int s : {0, 3, 10, 15}) {
    Case alone = c;
    alone.sequences = {c.sequences[s]};
    Call one(alone);
    one.on_gpu();
    EXPECT_EQ(one.result(0), all.result(s)) << s;
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, AttendOneOf, testing::Values(64, 96, 128, 256));

TEST(AttendMany, ReadsPromptsOverPrefixes) {
  for (int width : {64, 96, 128, 256}) {
    Case c;
    c.one = false, c.width = width;
    c.sequences = {{0, 1, 1}, {0, 33, 2}, {100, 1, 3}, {70, 300, 4}, {0, 129, 5}, {513, 31, 6}};
    run(c);
  }
}

TEST(AttendMixed, TakesSinglesApart) {
  for (int width : {64, 128, 256}) {
    for (const DType cache : {DType::kBF16, DType::kF8E4M3}) {
      Case c;
      c.one = false, c.mixed = true, c.width = width, c.cache = cache;
      c.sequences = singles(kLengths);
      c.sequences.insert(c.sequences.end(), {{0, 33, 2}, {100, 1, 3}, {70, 300, 4}, {513, 31, 6}});
      run(c);
      c.sequences.erase(c.sequences.begin(), c.sequences.end() - 4);  // no singles
      run(c);
    }
  }
}

// Some of their workers begin when the prompts have left room.
TEST(AttendMixed, TakesManySinglesBesideShortPrompts) {
  for (const DType cache : {DType::kBF16, DType::kF8E4M3}) {
    for (const int count : {17, 64, 280}) {
      for (const int least : {1, 600}) {
        SCOPED_TRACE(testing::Message() << count << " from " << least);
        Case c;
        c.one = false, c.mixed = true, c.cache = cache;
        c.heads = 8, c.kv_heads = 2;
        for (int i = 0; i < count; ++i) {
          c.sequences.push_back({least + (i * 53) % 200 - 1, 1, static_cast<unsigned>(i)});
        }
        c.sequences.insert(c.sequences.end(), {{70, 128, 1}, {0, 5, 2}});
        run(c);
      }
    }
  }
}

TEST(AttendMany, TakesTheShapesOfModels) {
  struct Shape {
    int heads, kv_heads, width;
  };
  for (Shape s : {Shape{9, 3, 64},
                  {28, 4, 128},
                  {4, 4, 128},
                  {8, 1, 64},
                  {4, 2, 96},
                  {3, 3, 96},
                  Shape{4, 1, 256},
                  {4, 4, 256},
                  {6, 2, 160}}) {
    for (DType cache : {DType::kBF16, DType::kF16, DType::kF8E4M3}) {
      SCOPED_TRACE(testing::Message() << s.heads << "/" << s.kv_heads << " x " << s.width);
      Case c;
      c.one = false;
      c.heads = s.heads, c.kv_heads = s.kv_heads, c.width = s.width, c.cache = cache;
      c.norm = s.heads % 2 == 0, c.interleaved = s.kv_heads == 4;
      c.sequences = {{40, 200, 1}, {300, 1, 2}, {0, 70, 3}};
      run(c);
    }
  }
}

TEST(AttendMany, SeesAWindow) {
  for (int window : {1, 20, 32, 200}) {
    SCOPED_TRACE(window);
    Case c;
    c.one = false, c.window = window;
    c.sequences = {{40, 400, 1}, {777, 1, 2}, {600, 70, 3}};
    run(c);
    for (int width : {96, 256}) {
      c.heads = 8, c.kv_heads = 2, c.width = width;
      run(c);
    }
  }
}

TEST(AttendMany, TakesF32Plainly) {
  Case c;
  c.one = false, c.heads = 4, c.kv_heads = 2, c.type = DType::kF32, c.cache = DType::kF32;
  c.sequences = {{40, 100, 1}, {0, 1, 2}};
  run(c);
}

class AttendManyOf : public testing::TestWithParam<int> {};

TEST_P(AttendManyOf, ResultsDoNotDependOnTheCut) {
  Case whole;
  whole.one = false, whole.width = GetParam();
  whole.sequences = {{210, 500, 1}};
  Call first(whole);
  first.on_gpu();
  const auto all = first.result(0);
  Case mixed = whole;
  mixed.sequences = {{50, 3, 9}, {210, 500, 1}, {1000, 1, 8}};
  Call second(mixed);
  second.on_gpu();
  EXPECT_EQ(second.result(1), all);
  Case cut = whole;
  cut.sequences = {{210, 77, 1}};
  Call third(cut);
  third.on_gpu();
  const auto part = third.result(0);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin()));
  Case rest = whole;
  rest.sequences = {{287, 423, 1}};
  Call fourth(rest);
  fourth.continue_after(first);
  fourth.on_gpu();
  const auto end = fourth.result(0);
  EXPECT_TRUE(std::equal(end.rbegin(), end.rend(), all.rbegin()));
}

INSTANTIATE_TEST_SUITE_P(Widths, AttendManyOf, testing::Values(64, 96, 128, 256));

}  // namespace
}  // namespace hachi::ops::cuda
