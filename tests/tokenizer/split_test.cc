// Splitting and normalizing: behaviors against the reference, scanners against their own regular
// expressions, classes and NFC against utf8proc.
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>

#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <utf8proc.h>

#include "core/utf8.h"
#include "tokenizer/char_class.h"
#include "tokenizer/data_folder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"

namespace hachi::tokenizer {
namespace {

namespace json = boost::json;

std::vector<std::string> pieces_of(const PreTokenizer& pre_tokenizer, std::string_view text) {
  std::vector<std::string> pieces;
  PreTokenizer::Pieces iterator(pre_tokenizer, text);
  while (const auto piece = iterator.next()) pieces.emplace_back(*piece);
  return pieces;
}

TEST(Split, BehavesAsTheReference) {
  const std::map<std::string_view, SplitBehavior> behaviors = {
      {"Isolated", SplitBehavior::kIsolated},
      {"Removed", SplitBehavior::kRemoved},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  std::ifstream in(data_folder() / "splits.jsonl");
  int rows = 0;
  for (std::string line; std::getline(in, line); ++rows) {
    const json::value row = json::parse(line);
    Split split;
    if (const json::value* text = row.at("pattern").as_object().if_contains("String")) {
      split.pattern = std::string(text->as_string());
    } else {
      split.pattern = *Regex::compile(row.at("pattern").at("Regex").as_string());
    }
    split.behavior = behaviors.at(row.at("behavior").as_string());
    split.invert = row.at("invert").as_bool();
    std::vector<std::string> expected;
    for (const json::value& piece : row.at("pieces").as_array()) {
      expected.emplace_back(piece.as_string());
    }
    EXPECT_EQ(pieces_of(PreTokenizer({}, {split}), row.at("text").as_string()), expected) << line;
  }
  EXPECT_EQ(rows, 400);
}

// Characters that PCRE2's own Unicode tables class as Unicode 16 does: those assigned before
// Unicode 14, less U+180E, which PCRE2 counts as white space.
std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> kParts = {
      "a",      "Z",      "s",          "S",      "\u017F",
      "'",      "'s",     "'LL",        "'re",    "1",
      "23",     "\u0663", "\u00BD",     "\u2167", " ",
      "  ",     "\n",     "\r\n",       "\t",     "\u00A0",
      "\u3000", "\u0085", "\u2028",     "\u200B", "\uFEFF",
      "!",      "<|",     "\u2014",     "\u20AC", "+",
      "_",      "\u0301", "\u20DD",     "\u4E00", "\u9FA5",
      "\u9FA6", "\u3042", "\u30FF",     "\u3400", "\uAC00",
      "\u0915", "\u093F", "\U0001F600", "\u0378", std::string(1, '\0'),
      "\x1F"};
  std::string text;
  for (size_t count = random() % 24; count > 0; --count) text += kParts[random() % kParts.size()];
  return text;
}

TEST(Split, ScannersDoWhatTheirExpressionsSay) {
  std::mt19937 random(7);
  for (const std::string_view pattern :
       {kGpt2Split, kQwen2Split, kLlama3Split, kDeepSeekNumbers, kDeepSeekCjk, kDeepSeekWords}) {
    ASSERT_NE(find_scanner(pattern), nullptr);
    const PreTokenizer scanner({}, {Split{find_scanner(pattern)}});
    const PreTokenizer regex({}, {Split{*Regex::compile(pattern)}});
    for (int i = 0; i < 5000; ++i) {
      const std::string text = random_text(random);
      ASSERT_EQ(pieces_of(scanner, text), pieces_of(regex, text)) << pattern << "\n" << text;
    }
  }
}

TEST(Split, AnExpressionThatExplodesEndsInOnePiece) {
  const auto bomb = Regex::compile("(a|aa)+$");
  ASSERT_TRUE(bomb);
  const std::string text = std::string(5000, 'a') + "b";
  EXPECT_EQ(pieces_of(PreTokenizer({}, {Split{*bomb}}), text), std::vector<std::string>{text});
  EXPECT_FALSE(Regex::compile("(").has_value());
  EXPECT_FALSE(Regex::compile(std::string(1 << 17, 'a')).has_value());
}

CharClass class_of(uint32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::kLetter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return CharClass::kMark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return CharClass::kPunctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return CharClass::kSymbol;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharClass::kSpace;
    default:
      return (c >= 9 && c <= 13) || c == 0x85 ? CharClass::kSpace : CharClass::kOther;
  }
}

TEST(CharClass, AgreesWithUtf8procOnWhatItKnows) {
  int differences = 0;
  for (uint32_t c = 0; c < 0x110000; ++c) {
    const bool known = utf8proc_category(static_cast<utf8proc_int32_t>(c)) != UTF8PROC_CATEGORY_CN;
    differences += known && CharClasses::get().of(c) != class_of(c);
  }
  EXPECT_EQ(differences, 0);
  // Assigned in Unicode 15.1 and 16; assigned later; not a code point.
  EXPECT_EQ(CharClasses::get().of(0x2EBF0), CharClass::kLetter);
  EXPECT_EQ(CharClasses::get().of(0x10D40), CharClass::kNumber);
  EXPECT_EQ(CharClasses::get().of(0x323B0), CharClass::kOther);
  EXPECT_EQ(CharClasses::get().of(0xFFFFFFFF), CharClass::kOther);
}

std::string nfc_by_utf8proc(const std::string& text) {
  utf8proc_uint8_t* out = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &out,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  std::string result(reinterpret_cast<const char*>(out), static_cast<size_t>(length));
  std::free(out);
  return result;
}

TEST(Nfc, IsUtf8procs) {
  std::string buffer;
  // Every character alone and among others that it may join.
  for (uint32_t c = 1; c < 0x30000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text = "e";
    append_utf8(text, c);
    text += "\u0301\u0323";
    append_utf8(text, c);
    ASSERT_EQ(to_nfc(text, buffer), nfc_by_utf8proc(text)) << std::hex << c;
  }
  std::mt19937 random(11);
  const std::vector<std::string> parts = {"a",      "e\u0301", "\u0323", "\u0301", "\u1100",
                                          "\u1161", "\u11A8",  "\uAC00", "\u212B", "\u0344",
                                          "\u0958", "\u09C7",  "\u09BE", "\u1E0A", "\u0307",
                                          "\u0F71", "\u0F72",  " ",      "\u4E2D"};
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t count = random() % 12; count > 0; --count) text += parts[random() % parts.size()];
    ASSERT_EQ(to_nfc(text, buffer), nfc_by_utf8proc(text)) << text;
  }
}

}  // namespace
}  // namespace hachi::tokenizer
