// Reads little-endian values from the start of a file to its end, never past it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "core/result.h"

namespace hachi::formats {

static_assert(std::endian::native == std::endian::little, "values are copied as they lie");

class ByteReader {
 public:
  // `file` names the file in messages and, as the bytes, outlives the reader.
  ByteReader(std::span<const std::byte> bytes, std::string_view file)
      : bytes_(bytes), file_(file) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  // What has been read from there on; `position` is one that position() gave.
  std::span<const std::byte> since(uint64_t position) const {
    return bytes_.subspan(position, position_ - position);
  }

  // The next `count` bytes; `what` says in the message what they would have been.
  Result<std::span<const std::byte>> take(uint64_t count, std::string_view what) {
    if (count > remaining()) {
      return fail(Code::kCorrupt,
                  "{}: {} at byte {} needs {} bytes and the file has {} more; it is cut short or "
                  "damaged",
                  file_, what, position_, count, remaining());
    }
    const auto taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }

  template <class T>
  Result<T> value(std::string_view what) {
    TRY(const auto raw, take(sizeof(T), what));
    T result;
    std::memcpy(&result, raw.data(), sizeof(T));
    return result;
  }

  // A u64 length and that many bytes, at most `max_bytes`.
  Result<std::string_view> string(uint64_t max_bytes, std::string_view what) {
    TRY(const auto length, value<uint64_t>(what));
    if (length > max_bytes) {
      return fail(Code::kCorrupt, "{}: {} before byte {} claims {} bytes, more than the {} allowed",
                  file_, what, position_, length, max_bytes);
    }
    TRY(const auto raw, take(length, what));
    return std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size());
  }

 private:
  std::span<const std::byte> bytes_;
  std::string_view file_;
  uint64_t position_ = 0;
};

}  // namespace hachi::formats
