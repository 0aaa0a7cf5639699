#include "server/api_keys.h"

#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "formats/temp_folder.h"
#include "server/key_file.h"

namespace hachi::server {
namespace {

// SHA-256 of "abc" and of the empty string, from FIPS 180-4's examples.
constexpr std::string_view kAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view kEmpty =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string hash_of_number(int i) { return fmt::format("{:064x}", i); }

std::string error_of(std::string_view text) {
  const auto ring = parse_keys(text, "keys");
  return ring ? "" : ring.error().message;
}

TEST(ApiKeys, ReadsTheWholeLine) {
  const auto ring = parse_keys(
      fmt::format("# who may ask\r\n\n alice \t sha256:{}  rpm=60 tpm=1000 concurrency=4 "
                  "priority=-3 salt=own # hers\nbob sha256:{}",
                  kAbc, hash_of_number(7)),
      "keys");
  ASSERT_TRUE(ring) << ring.error().message;
  ASSERT_EQ((*ring)->keys().size(), 2u);
  const Key* alice = (*ring)->find("abc");
  ASSERT_NE(alice, nullptr);
  EXPECT_EQ(alice->name, "alice");
  EXPECT_EQ(alice->priority, -3);
  EXPECT_NE(alice->salt, 0u);
  EXPECT_EQ(alice->limiter->limits(),
            (KeyLimits{.requests_per_minute = 60, .tokens_per_minute = 1000, .concurrency = 4}));
  const Key& bob = (*ring)->keys()[1];
  EXPECT_EQ(bob.name, "bob");
  EXPECT_EQ(bob.salt, 0u);
  EXPECT_EQ(bob.limiter->limits(), KeyLimits{});
}

TEST(ApiKeys, FindsOnlyTheWholeKey) {
  std::string text;
  for (int i = 0; i < 10; ++i) text += fmt::format("k{} sha256:{}\n", i, hash_of_number(i));
  text += fmt::format("nobody sha256:{}\n", kEmpty);
  text += fmt::format("abc sha256:{}\n", kAbc);
  const auto ring = parse_keys(text, "keys");
  ASSERT_TRUE(ring);
  EXPECT_EQ((*ring)->find("abc")->name, "abc");
  EXPECT_EQ((*ring)->find("abd"), nullptr);
  EXPECT_EQ((*ring)->find("ab"), nullptr);
  EXPECT_EQ((*ring)->find("abcd"), nullptr);
  EXPECT_EQ((*ring)->find(kAbc), nullptr);  // the hash is not the key
  EXPECT_EQ((*ring)->find(""), nullptr);    // even if the file has its hash
  EXPECT_EQ((*ring)->find(std::string(1 << 20, 'a')), nullptr);
}

TEST(ApiKeys, ErrorsSayTheLineAndWhatIsWrong) {
  const std::string line = fmt::format("a sha256:{}", kAbc);
  EXPECT_EQ(error_of("# none\n"), "keys: there is no key in it, so nobody could ask");
  EXPECT_EQ(error_of("\n" + line + " rpm=0"),
            "keys:2: rpm must be a whole number from 1 to 1000000000000, not '0'");
  EXPECT_NE(error_of(line + " tpm=1e3").find("not '1e3'"), std::string::npos);
  EXPECT_NE(error_of(line + " concurrency=").find("keys:1: concurrency must"), std::string::npos);
  EXPECT_NE(error_of(line + " priority=101").find("from -100 to 100"), std::string::npos);
  EXPECT_NE(error_of(line + " rpm=99999999999999999999").find("rpm must"), std::string::npos);
  EXPECT_EQ(error_of(line + " salt=mine"), "keys:1: salt must be own or shared, not 'mine'");
  EXPECT_EQ(error_of(line + " rpm=5 rpm=6"), "keys:1: rpm is there twice");
  EXPECT_NE(error_of(line + " speed=5").find("'speed' is not an option"), std::string::npos);
  EXPECT_NE(error_of("\xFF\x1B[2J sha256:").find("\\xFF\\x1B[2J' cannot be"), std::string::npos);
  EXPECT_EQ(error_of(line + "\n\na sha256:" + std::string(64, '0')),
            "keys:3: the name a is that of line 1 too");
  EXPECT_EQ(error_of(line + "\nb sha256:BA" + std::string(kAbc.substr(2))),
            "keys:2: the key is that of line 1 too");
  EXPECT_NE(error_of(line + std::string(2000, ' ')).find("more than 1024 bytes"),
            std::string::npos);
  EXPECT_NE(error_of(std::string(kMaxKeyFileBytes + 1, '\n')).find("at most"), std::string::npos);
}

TEST(ApiKeys, AKeyInPlaceOfItsHashIsNotRepeated) {
  for (const char* wrong : {"sk-hachi-secret", "sha256:secret", ""}) {
    const std::string message = error_of(fmt::format("alice {}", wrong));
    EXPECT_NE(message.find("keys:1: the name must be followed by sha256:"), std::string::npos);
    EXPECT_EQ(message.find("secret"), std::string::npos);
  }
}

TEST(ApiKeys, ThereIsALimitOfKeys) {
  std::string text;
  for (size_t i = 0; i < kMaxKeys; ++i) {
    text += fmt::format("k{} sha256:{}\n", i, hash_of_number(static_cast<int>(i)));
  }
  EXPECT_EQ(error_of(text), "");
  EXPECT_NE(error_of(text + "more sha256:" + std::string(kAbc)).find("more than 4096 keys"),
            std::string::npos);
}

TEST(ApiKeys, ANewReadingKeepsWhatWasUsed) {
  const std::string a = fmt::format("a sha256:{} rpm=5", kAbc);
  const auto before = parse_keys(a, "keys");
  ASSERT_TRUE(before);
  CurrentKeys current(*before);
  const std::shared_ptr<const KeyRing> held = current.get();  // by a request
  const Key* key = held->find("abc");
  const auto answer = key->limiter->admit(1);
  ASSERT_TRUE(std::holds_alternative<Lease>(answer));
  const auto same =
      parse_keys(a + " priority=1\nb sha256:" + std::string(kEmpty), "keys", held.get());
  const auto changed = parse_keys(fmt::format("a sha256:{} rpm=6", kAbc), "keys", held.get());
  ASSERT_TRUE(same && changed);
  EXPECT_EQ((*same)->find("abc")->limiter, key->limiter);
  EXPECT_NE((*changed)->find("abc")->limiter, key->limiter);
  current.set(*same);
  EXPECT_EQ(current.get()->find("abc")->priority, 1);
  EXPECT_EQ(key->name, "a");  // still there for who holds the old ring
}

TEST(ApiKeys, ANewKeyIsFoundByItsLine) {
  std::set<std::string> secrets;
  for (int i = 0; i < 100; ++i) {
    const auto key = make_key("carol");
    ASSERT_TRUE(key);
    EXPECT_TRUE(secrets.insert(key->secret).second);
    ASSERT_EQ(key->secret.size(), 9u + 43u);
    EXPECT_EQ(key->secret.substr(0, 9), "sk-hachi-");
    EXPECT_EQ(key->secret.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789-_"),
              std::string::npos);
    const auto ring = parse_keys(key->line, "keys");
    ASSERT_TRUE(ring) << ring.error().message;
    EXPECT_NE((*ring)->find(key->secret), nullptr);
  }
  EXPECT_FALSE(make_key("two words"));
  EXPECT_FALSE(make_key(""));
  EXPECT_FALSE(make_key(std::string(65, 'a')));
}

TEST(ApiKeys, HeadersPresentKeys) {
  EXPECT_EQ(bearer("Bearer abc"), "abc");
  EXPECT_EQ(bearer("  bEARER \t abc "), "abc");
  for (const char* wrong : {"", "Bearer", "Bearer ", "Basic abc", "Bearerabc", "Bearer a b", "abc",
                            "Beare abc", "Bearers abc"}) {
    EXPECT_EQ(bearer(wrong), "") << wrong;
  }
  EXPECT_EQ(presented_key("", " abc "), "abc");
  EXPECT_EQ(presented_key("Bearer x", "abc"), "x");
  EXPECT_EQ(presented_key("Basic x", "abc"), "abc");
  EXPECT_EQ(presented_key("", ""), "");
}

TEST(ApiKeys, WarnsOfAnOpenFile) {
  namespace fs = std::filesystem;
  const formats::TempFolder folder;
  const fs::path path = folder.path() / "keys";
  ASSERT_TRUE(write_file(path, fmt::format("a sha256:{}\n", kAbc)));
  fs::permissions(path, fs::perms(0640));
  EXPECT_EQ(load_keys(path)->warning, "");
  fs::permissions(path, fs::perms(0644));
  const auto loaded = load_keys(path);
  ASSERT_TRUE(loaded);
  EXPECT_NE(loaded->warning.find("chmod 600"), std::string::npos);
  EXPECT_NE(loaded->ring->find("abc"), nullptr);
  EXPECT_FALSE(load_keys(folder.path() / "nothing"));
}

}  // namespace
}  // namespace hachi::server
