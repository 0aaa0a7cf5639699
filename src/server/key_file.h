// The file of `hachi serve --api-keys FILE`: one key a line,
//
//   NAME sha256:HEX64 [rpm=N] [tpm=N] [concurrency=N] [priority=N] [salt=own|shared]
//
// with '#' for comments. rpm and tpm are requests and tokens a minute; what is not said is not
// limited. A higher priority goes first (-100 to 100, 0 if not said). salt=own keeps the key's
// cached prefixes from the other keys, which could otherwise feel by the time to the first token
// what it had sent.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "server/api_keys.h"

namespace hachi::server {

inline constexpr uint64_t kMaxKeyFileBytes = 1 << 20;
inline constexpr size_t kMaxKeyLineBytes = 1024;
inline constexpr int kMaxKeyPriority = 100;

// The keys in `text`; `source` names it in messages, which also have the line. A key that `before`
// has with the same limits keeps its limiter, so that reading the file again forgives nobody.
Result<std::shared_ptr<const KeyRing>> parse_keys(std::string_view text, std::string_view source,
                                                  const KeyRing* before = nullptr);

struct LoadedKeys {
  std::shared_ptr<const KeyRing> ring;
  std::string warning;  // a sentence if the file is open to other users; else empty
};

Result<LoadedKeys> load_keys(const std::filesystem::path& path, const KeyRing* before = nullptr);

}  // namespace hachi::server
