// API keys: who may ask, and how much. A key is known by its SHA-256 alone; nothing here, in the
// key file or in a log can be used in its place.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "server/rate_limit.h"

namespace hachi::server {

using Sha256 = std::array<unsigned char, 32>;

inline constexpr size_t kMaxKeys = 4096;            // each find() compares all of them
inline constexpr size_t kMaxPresentedBytes = 1024;  // longer ones are no key; none is hashed

struct Key {
  std::string name;                      // for logs and limits
  Sha256 hash{};                         // of the key's text
  int priority = 0;                      // of its requests in the engine; higher goes first
  uint64_t salt = 0;                     // of its cached prefixes; 0: shared with the others
  std::shared_ptr<RateLimiter> limiter;  // never null
};

// The keys of one reading of the key file. Immutable: a request holds the ring by shared_ptr, and
// so the Key that it found, while a new ring takes its place.
class KeyRing {
 public:
  // Names and hashes are distinct.
  explicit KeyRing(std::vector<Key> keys) : keys_(std::move(keys)) {}
  KeyRing(const KeyRing&) = delete;
  KeyRing& operator=(const KeyRing&) = delete;

  // The key that a client presented, or null. Takes the same time whichever key it is and however
  // nearly it is one: hashes are compared, in constant time, and all of them. The pointer lives as
  // long as the ring.
  const Key* find(std::string_view presented) const;

  const std::vector<Key>& keys() const { return keys_; }

 private:
  std::vector<Key> keys_;
};

// The ring of the moment. Any thread may call it.
class CurrentKeys {
 public:
  explicit CurrentKeys(std::shared_ptr<const KeyRing> ring = {}) : ring_(std::move(ring)) {}
  // Null if the server asks for no keys.
  std::shared_ptr<const KeyRing> get() const;
  void set(std::shared_ptr<const KeyRing> ring);

 private:
  mutable std::mutex mutex_;  // guards ring_
  std::shared_ptr<const KeyRing> ring_;
};

// What "Authorization: Bearer X" presents: X, or nothing if the value is of another form.
std::string_view bearer(std::string_view authorization);

// What a request presents by either header: OpenAI's clients send Authorization, Anthropic's
// x-api-key. Headers that are absent are empty; so is the answer if none presents a key.
std::string_view presented_key(std::string_view authorization, std::string_view x_api_key);

Sha256 sha256(std::string_view text);

struct NewKey {
  std::string secret;  // "sk-hachi-" and 32 random bytes in base64url; shown once, kept nowhere
  std::string line;    // for the key file
};

// A fresh key from the system's random source. Fails if `name` cannot be a key's name.
Result<NewKey> make_key(std::string_view name);

// Letters, digits, '.', '_', '-' and '@', 1 to 64 of them.
bool is_key_name(std::string_view name);

}  // namespace hachi::server
