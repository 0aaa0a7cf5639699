#include "server/caller.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "core/random.h"

namespace hachi::server {
namespace {

std::string fresh_id(uint64_t secret) {
  static std::atomic<uint64_t> count{0};
  const auto number = count.fetch_add(1, std::memory_order_relaxed);
  const auto words = philox4x32({static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32),
                                 static_cast<uint32_t>(secret), 0x1d},
                                {static_cast<uint32_t>(secret >> 32), 0x1d});
  return fmt::format("{:08x}{:08x}{:08x}", words[0], words[1], words[2]);
}

// A hash that nobody can aim at who does not know the secret.
uint64_t hash_with(uint64_t secret, std::string_view text) {
  const Sha256 digest = sha256(fmt::format("{:016x}{}", secret, text));
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value = value << 8 | digest[i];
  return value | 1;  // 0 is the salt of those who ask for none
}

}  // namespace

Caller::Caller(App& app, NewsHub& hub, boost::asio::any_io_executor executor)
    : app_(app), hub_(hub), executor_(std::move(executor)), id_(fresh_id(app.secret())) {}

int64_t Caller::created() const { return std::chrono::system_clock::to_time_t(time_); }

void Caller::set_key(std::shared_ptr<const KeyRing> ring, const Key* key) {
  ring_ = std::move(ring);
  key_ = key;
}

uint64_t Caller::user() const {
  return hash_with(app_.secret(), key_ == nullptr ? user_name() : key_->name);
}

uint64_t Caller::salt(std::string_view cache_salt) const {
  const uint64_t own = key_ == nullptr ? 0 : key_->salt;
  if (cache_salt.empty()) return own;
  return hash_with(app_.secret() ^ own, cache_salt);
}

int64_t Caller::priority(int64_t asked) const {
  // Who shares the server with others may only step back.
  const int64_t own = ring_ ? std::max<int64_t>(asked, 0) : asked;
  const int64_t of_key = key_ == nullptr ? 0 : key_->priority;
  return base_priority() + of_key * (int64_t{1} << 32) - own;
}

}  // namespace hachi::server
