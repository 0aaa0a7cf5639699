#include "server/api_keys.h"

#include <algorithm>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "core/check.h"
#include "formats/printable.h"

namespace hachi::server {
namespace {

constexpr size_t kSecretBytes = 32;
constexpr size_t kMaxNameBytes = 64;

bool same_letters(std::string_view text, std::string_view lower_case) {
  return std::equal(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

// RFC 4648, section 5, without padding.
std::string base64url(const std::array<unsigned char, kSecretBytes>& bytes) {
  std::array<unsigned char, (kSecretBytes + 2) / 3 * 4 + 1> block;
  EVP_EncodeBlock(block.data(), bytes.data(), static_cast<int>(bytes.size()));
  std::string text(reinterpret_cast<const char*>(block.data()), (kSecretBytes * 4 + 2) / 3);
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

}  // namespace

const Key* KeyRing::find(std::string_view presented) const {
  if (presented.empty() || presented.size() > kMaxPresentedBytes) return nullptr;
  const Sha256 hash = sha256(presented);
  size_t found = keys_.size();
  for (size_t i = 0; i < keys_.size(); ++i) {
    // No branch on the outcome: all ones where the hashes are the same, else zero.
    const int differ = CRYPTO_memcmp(hash.data(), keys_[i].hash.data(), hash.size());
    const size_t same = size_t{0} - static_cast<size_t>(differ == 0);
    found = (found & ~same) | (i & same);
  }
  return found < keys_.size() ? &keys_[found] : nullptr;
}

std::shared_ptr<const KeyRing> CurrentKeys::get() const {
  const std::lock_guard lock(mutex_);
  return ring_;
}

void CurrentKeys::set(std::shared_ptr<const KeyRing> ring) {
  const std::lock_guard lock(mutex_);
  ring_.swap(ring);
}

std::string_view bearer(std::string_view authorization) {
  const std::string_view value = trimmed(authorization);
  const size_t end = value.find(' ');
  if (end == std::string_view::npos || !same_letters(value.substr(0, end), "bearer")) return {};
  const std::string_view key = trimmed(value.substr(end));
  return key.find_first_of(" \t") == std::string_view::npos ? key : std::string_view();
}

std::string_view presented_key(std::string_view authorization, std::string_view x_api_key) {
  const std::string_view key = bearer(authorization);
  return key.empty() ? trimmed(x_api_key) : key;
}

Sha256 sha256(std::string_view text) {
  Sha256 hash;
  CHECK(SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data()) !=
        nullptr);
  return hash;
}

Result<NewKey> make_key(std::string_view name) {
  if (!is_key_name(name)) {
    return fail(Code::kInvalidArgument,
                "{} cannot be a key's name: use 1 to {} letters, digits, '.', '_', '-' and '@'",
                formats::printable(name), kMaxNameBytes);
  }
  std::array<unsigned char, kSecretBytes> bytes;
  if (RAND_priv_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return fail(Code::kIo, "the system's source of random numbers gives none");
  }
  NewKey key;
  key.secret = "sk-hachi-" + base64url(bytes);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  key.line = fmt::format("{} sha256:", name);
  for (const unsigned char byte : sha256(key.secret)) key.line += fmt::format("{:02x}", byte);
  return key;
}

bool is_key_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-' || c == '@';
         });
}

}  // namespace hachi::server
