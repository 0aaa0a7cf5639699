#include "server/key_file.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "core/files.h"
#include "formats/printable.h"

namespace hachi::server {
namespace {

namespace fs = std::filesystem;
using formats::printable;

constexpr std::string_view kHashMark = "sha256:";

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

std::optional<Sha256> parse_hash(std::string_view word) {
  Sha256 hash;
  if (word.substr(0, kHashMark.size()) != kHashMark) return std::nullopt;
  word.remove_prefix(kHashMark.size());
  if (word.size() != 2 * hash.size()) return std::nullopt;
  for (size_t i = 0; i < hash.size(); ++i) {
    const auto high = hex_digit(word[2 * i]);
    const auto low = hex_digit(word[2 * i + 1]);
    if (!high || !low) return std::nullopt;
    hash[i] = static_cast<unsigned char>(*high << 4 | *low);
  }
  return hash;
}

// The next word of `line`, which loses it; empty at the end.
std::string_view take_word(std::string_view& line) {
  constexpr std::string_view kSpaces = " \t";
  line.remove_prefix(std::min(line.find_first_not_of(kSpaces), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kSpaces));
  line.remove_prefix(word.size());
  return word;
}

Result<int64_t> parse_number(std::string_view option, std::string_view value, int64_t least,
                             int64_t most) {
  int64_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || stop != end || number < least || number > most) {
    return fail(Code::kInvalidArgument, "{} must be a whole number from {} to {}, not {}", option,
                least, most, printable(value));
  }
  return number;
}

// A key's own salt must be the same after a restart and tell nothing of the key: it is taken from
// the hash of the hash.
uint64_t own_salt(const Sha256& hash) {
  const Sha256 again = sha256({reinterpret_cast<const char*>(hash.data()), hash.size()});
  uint64_t salt = 0;
  for (int i = 0; i < 8; ++i) salt = salt << 8 | again[i];
  return salt == 0 ? 1 : salt;
}

struct KeyLine {
  Key key;
  KeyLimits limits;
};

Result<void> set_option(KeyLine& line, std::string_view word) {
  const size_t equals = word.find('=');
  const std::string_view option = word.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
  KeyLimits& limits = line.limits;
  if (option == "rpm") {
    TRY(limits.requests_per_minute, parse_number(option, value, 1, kMaxLimit));
  } else if (option == "tpm") {
    TRY(limits.tokens_per_minute, parse_number(option, value, 1, kMaxLimit));
  } else if (option == "concurrency") {
    TRY(limits.concurrency, parse_number(option, value, 1, kMaxLimit));
  } else if (option == "priority") {
    TRY(const int64_t number, parse_number(option, value, -kMaxKeyPriority, kMaxKeyPriority));
    line.key.priority = static_cast<int>(number);
  } else if (option == "salt") {
    if (value != "own" && value != "shared") {
      return fail(Code::kInvalidArgument, "salt must be own or shared, not {}", printable(value));
    }
    line.key.salt = value == "own" ? own_salt(line.key.hash) : 0;
  } else {
    return fail(Code::kInvalidArgument,
                "{} is not an option: those are rpm=, tpm=, concurrency=, priority= and salt=",
                printable(option));
  }
  return {};
}

// `text`: NAME sha256:HEX64 and options.
Result<KeyLine> parse_line(std::string_view text) {
  KeyLine line;
  const std::string_view name = take_word(text);
  if (!is_key_name(name)) {
    return fail(Code::kInvalidArgument,
                "{} cannot be a key's name: use up to 64 letters, digits, '.', '_', '-' and '@'",
                printable(name));
  }
  line.key.name = name;
  const std::optional<Sha256> hash = parse_hash(take_word(text));
  if (!hash) {  // never shown: it may be a key by mistake
    return fail(Code::kInvalidArgument,
                "the name must be followed by sha256: and the 64 hexadecimal digits of the key's "
                "SHA-256");
  }
  line.key.hash = *hash;
  std::map<std::string_view, bool> seen;
  for (std::string_view word = take_word(text); !word.empty(); word = take_word(text)) {
    const std::string_view option = word.substr(0, word.find('='));
    TRY(set_option(line, word));
    if (!seen.emplace(option, true).second) {
      return fail(Code::kInvalidArgument, "{} is there twice", option);
    }
  }
  return line;
}

std::string_view next_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

// Makes the ring line by line, with what the lines must not share.
class RingBuilder {
 public:
  explicit RingBuilder(const KeyRing* before) {
    if (!before) return;
    for (const Key& key : before->keys()) before_.emplace(key.hash, &key);
  }

  Result<void> add(KeyLine line, int line_number) {
    Key& key = line.key;
    if (keys_.size() == kMaxKeys) {
      return fail(Code::kLimit, "there are more than {} keys", kMaxKeys);
    }
    if (const auto [same, added] = names_.emplace(key.name, line_number); !added) {
      return fail(Code::kInvalidArgument, "the name {} is that of line {} too", key.name,
                  same->second);
    }
    if (const auto [same, added] = hashes_.emplace(key.hash, line_number); !added) {
      return fail(Code::kInvalidArgument, "the key is that of line {} too", same->second);
    }
    const auto old = before_.find(key.hash);
    if (old != before_.end() && old->second->limiter->limits() == line.limits) {
      key.limiter = old->second->limiter;
    } else {
      key.limiter = std::make_shared<RateLimiter>(line.limits);
    }
    keys_.push_back(std::move(key));
    return {};
  }

  std::vector<Key> take() { return std::move(keys_); }

 private:
  std::map<Sha256, const Key*> before_;
  std::map<std::string, int> names_;  // to the line
  std::map<Sha256, int> hashes_;
  std::vector<Key> keys_;
};

}  // namespace

Result<std::shared_ptr<const KeyRing>> parse_keys(std::string_view text, std::string_view source,
                                                  const KeyRing* before) {
  if (text.size() > kMaxKeyFileBytes) {
    return fail(Code::kLimit, "{}: a key file has at most {} bytes", source, kMaxKeyFileBytes);
  }
  RingBuilder builder(before);
  for (int number = 1; !text.empty(); ++number) {
    std::string_view line = next_line(text);
    if (line.size() > kMaxKeyLineBytes) {
      return fail(Code::kLimit, "{}:{}: the line has more than {} bytes", source, number,
                  kMaxKeyLineBytes);
    }
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    Result<KeyLine> parsed = parse_line(line);
    Result<void> added;
    if (parsed) added = builder.add(std::move(*parsed), number);
    if (!parsed || !added) {
      const Error& error = parsed ? added.error() : parsed.error();
      return fail(error.code, "{}:{}: {}", source, number, error.message);
    }
  }
  std::vector<Key> keys = builder.take();
  if (keys.empty()) {
    return fail(Code::kInvalidArgument, "{}: there is no key in it, so nobody could ask", source);
  }
  return std::make_shared<const KeyRing>(std::move(keys));
}

Result<LoadedKeys> load_keys(const fs::path& path, const KeyRing* before) {
  TRY(const std::string text, read_file(path, kMaxKeyFileBytes));
  LoadedKeys loaded;
  TRY(loaded.ring, parse_keys(text, path.string(), before));
  constexpr fs::perms kOthers = fs::perms::others_all | fs::perms::group_write;
  std::error_code error;
  const fs::perms mode = fs::status(path, error).permissions();
  if (!error && (mode & kOthers) != fs::perms::none) {
    loaded.warning = fmt::format(
        "{}: other users of this machine can read or change the keys' hashes and limits; "
        "`chmod 600` it",
        path.string());
  }
  return loaded;
}

}  // namespace hachi::server
