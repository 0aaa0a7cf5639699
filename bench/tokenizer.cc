// Speed of encoding: MB/s of one core's time for English text and for texts that are hard on a
// tokenizer, and the time to load.
//
//   bench_tokenizer PATH [TEXT] [--mb N]
//
// PATH is what Tokenizer::open takes. TEXT is a file; without it, words are drawn by a Zipf law
// from a made-up dictionary, the same ones each time, so that most words but not all come often.
#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/files.h"
#include "core/random.h"
#include "core/utf8.h"

namespace hachi::tokenizer {
namespace {

// Seconds of processor time of this thread: other programs on the machine do not count.
class CpuWatch {
 public:
  double seconds() const { return now() - start_; }
  void restart() { start_ = now(); }

 private:
  static double now() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }
  double start_ = now();
};

class Draws {
 public:
  explicit Draws(uint64_t seed) : seed_(seed) {}
  double unit() { return uniform(seed_, position_++); }
  size_t below(size_t bound) { return static_cast<size_t>(unit() * static_cast<double>(bound)); }

 private:
  uint64_t seed_;
  uint64_t position_ = 0;
};

std::string english(size_t bytes) {
  constexpr std::array<std::string_view, 40> kSyllables = {
      "the", "ing", "er",  "a",  "ly",  "ed",  "i",    "es", "re",    "tion",
      "in",  "e",   "con", "y",  "ter", "ex",  "al",   "de", "com",   "o",
      "di",  "en",  "an",  "ty", "ry",  "u",   "ti",   "ri", "be",    "per",
      "to",  "pro", "ac",  "ad", "ar",  "ers", "ment", "or", "tions", "ble"};
  constexpr size_t kWords = 30000;
  Draws draws(1);
  std::vector<std::string> words(kWords);
  for (size_t i = 0; i < kWords; ++i) {
    const size_t syllables = 1 + draws.below(i < 200 ? 2 : 4);
    for (size_t s = 0; s < syllables; ++s) words[i] += kSyllables[draws.below(kSyllables.size())];
    if (draws.below(12) == 0) words[i][0] = static_cast<char>(words[i][0] - 32);
  }
  std::string text;
  while (text.size() < bytes) {
    // Zipf with exponent 1: the rank is kWords to the power of a uniform number.
    const double rank = std::pow(static_cast<double>(kWords), draws.unit()) - 1;
    text += words[std::min(static_cast<size_t>(rank), kWords - 1)];
    const double mark = draws.unit();
    text += mark < 0.04   ? ". "
            : mark < 0.10 ? ", "
            : mark < 0.11 ? ".\n\n"
            : mark < 0.12 ? "'s "
                          : " ";
    if (draws.unit() < 0.01) text += fmt::format("{} ", draws.below(10000));
  }
  return text;
}

std::string repeated(std::string_view unit, size_t bytes) {
  std::string text;
  text.reserve(bytes + unit.size());
  while (text.size() < bytes) text += unit;
  return text;
}

std::string random_characters(size_t bytes, uint32_t first, uint32_t last) {
  Draws draws(first);
  std::string text;
  while (text.size() < bytes) {
    append_utf8(text, first + static_cast<uint32_t>(draws.below(last - first + 1)));
  }
  return text;
}

std::string random_bytes(size_t bytes) {
  Draws draws(3);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(draws.below(256));
  return text;
}

void measure(const Tokenizer& tokenizer, std::string_view name, std::string_view text) {
  double best = 1e30;
  size_t tokens = 0;
  // The best of up to three runs within some seconds.
  for (int run = 0; run < 3 && (run == 0 || best < 2); ++run) {
    const CpuWatch watch;
    tokens = tokenizer.encode(text).size();
    best = std::min(best, watch.seconds());
  }
  fmt::print("  {:<22} {:8.2f} MB/s  {:7.1f} ns/token  {:5.2f} bytes/token\n", name,
             static_cast<double>(text.size()) / best / 1e6,
             best * 1e9 / static_cast<double>(std::max<size_t>(tokens, 1)),
             static_cast<double>(text.size()) / static_cast<double>(std::max<size_t>(tokens, 1)));
}

int run(const std::string& path, const std::string& text_path, size_t bytes) {
  CpuWatch watch;
  const auto tokenizer = Tokenizer::open(path);
  if (!tokenizer) {
    fmt::print(stderr, "{}\n", tokenizer.error().message);
    return 2;
  }
  fmt::print("{}: {} ids, loaded in {:.1f} ms\n", path, tokenizer->vocab_size(),
             watch.seconds() * 1e3);
  std::string text = english(bytes);
  if (!text_path.empty()) {
    const auto file = read_file(text_path, uint64_t{1} << 30);
    if (!file) {
      fmt::print(stderr, "{}\n", file.error().message);
      return 2;
    }
    text = *file;
  }
  measure(*tokenizer, text_path.empty() ? "English (made up)" : "text file", text);
  const auto ids = tokenizer->encode(text);
  watch.restart();
  const size_t decoded = tokenizer->decode(ids).size();
  fmt::print("  {:<22} {:8.2f} MB/s\n", "decode",
             static_cast<double>(decoded) / watch.seconds() / 1e6);
  measure(*tokenizer, "one letter", std::string(bytes, 'a'));
  measure(*tokenizer, "letters, no space", random_characters(bytes, 'a', 'z'));
  measure(*tokenizer, "English, no space", [&] {
    std::string joined = english(bytes);
    std::erase_if(joined, [](char c) { return c == ' ' || c == '\n' || c == '.' || c == ','; });
    return joined;
  }());
  measure(*tokenizer, "spaces", std::string(bytes, ' '));
  measure(*tokenizer, "newlines", std::string(bytes, '\n'));
  measure(*tokenizer, "space, newline", repeated(" \n", bytes));
  measure(*tokenizer, "digits", random_characters(bytes, '0', '9'));
  measure(*tokenizer, "punctuation", random_characters(bytes, '!', '/'));
  measure(*tokenizer, "less-than signs", std::string(bytes, '<'));
  measure(*tokenizer, "letter, space", repeated("a ", bytes));
  measure(*tokenizer, "emoji", random_characters(bytes, 0x1F600, 0x1F64F));
  measure(*tokenizer, "one emoji", repeated("\U0001F600", bytes));
  measure(*tokenizer, "CJK", random_characters(bytes, 0x4E00, 0x9FA5));
  measure(*tokenizer, "combining marks", random_characters(bytes, 0x300, 0x36F));
  measure(*tokenizer, "Vietnamese letters", random_characters(bytes, 0x1EA0, 0x1EF9));
  measure(*tokenizer, "all of Unicode", random_characters(bytes, 0xE000, 0x10FFFF));
  measure(*tokenizer, "random bytes", random_bytes(bytes));
  return 0;
}

}  // namespace
}  // namespace hachi::tokenizer

int main(int argc, char** argv) {
  std::string path, text;
  size_t megabytes = 10;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--mb" && i + 1 < argc) {
      megabytes = std::strtoul(argv[++i], nullptr, 10);
    } else {
      (path.empty() ? path : text) = argument;
    }
  }
  if (path.empty()) {
    fmt::print(stderr, "usage: bench_tokenizer PATH [TEXT] [--mb N]\n");
    return 2;
  }
  return hachi::tokenizer::run(path, text, megabytes * 1'000'000);
}
