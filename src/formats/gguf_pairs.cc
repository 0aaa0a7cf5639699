#include "formats/gguf_pairs.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/utf8.h"
#include "formats/printable.h"

namespace hachi::formats {
namespace {

constexpr uint64_t kMaxKeyBytes = 1 << 10;  // the format allows 65,535
constexpr uint64_t kMaxStringBytes = 1 << 26;
constexpr int kMaxListDepth = 4;  // lists in lists
// Elements of all lists together. Real files have up to 1.4 million (262,144 tokens with their
// scores, types and merges); 16 bytes each in memory.
constexpr uint64_t kMaxListElements = 1 << 23;
constexpr uint64_t kMaxInt64 = std::numeric_limits<int64_t>::max();

enum class Type : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};

// Bytes of a value, or the fewest that it can have.
constexpr std::array<uint64_t, 13> kMinTypeBytes = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

// Keys are; so they may stand in messages as they are.
bool is_printable_ascii(char c) { return c >= ' ' && c <= '~'; }

class PairReader {
 public:
  PairReader(ByteReader& reader, std::string_view file) : reader_(reader), file_(file) {}

  Result<void> read(uint64_t index);
  GgufPairs take() { return std::move(pairs_); }

 private:
  Result<Type> read_type(std::string_view key);
  Result<std::string_view> read_string(std::string_view key);
  Result<Value> read_value(Type type, std::string_view key);
  Result<Value> read_list(std::string_view key, int depth);
  Result<Value> read_bools(uint64_t count, std::string_view key);
  Result<Value> read_strings(uint64_t count, std::string_view key);
  template <class T, class Wide>
  Result<Value> read_numbers(uint64_t count, std::string_view key);
  template <class T>
  Result<Value> read_integer(std::string_view key);

  ByteReader& reader_;
  std::string_view file_;
  uint64_t list_elements_ = 0;
  GgufPairs pairs_;
};

Result<Type> PairReader::read_type(std::string_view key) {
  TRY(const auto number, reader_.value<uint32_t>("a type"));
  if (number >= kMinTypeBytes.size()) {
    return fail(Code::kCorrupt, "{}: {} has a value of the unknown type {}", file_, printable(key),
                number);
  }
  return static_cast<Type>(number);
}

Result<void> PairReader::read(uint64_t index) {
  TRY(const auto key, reader_.string(kMaxKeyBytes, "a key"));
  if (key.empty() || !std::all_of(key.begin(), key.end(), is_printable_ascii)) {
    return fail(Code::kCorrupt, "{}: the key of pair {}, {}, is not printable ASCII", file_, index,
                printable(key));
  }
  const uint64_t begin = reader_.position();
  TRY(const Type type, read_type(key));
  TRY(auto value, read_value(type, key));
  if (!pairs_.metadata.add(key, std::move(value))) {
    return fail(Code::kCorrupt, "{}: the key {} is there twice", file_, printable(key));
  }
  pairs_.raw.push_back({key, reader_.since(begin)});
  return {};
}

template <class T>
Result<Value> PairReader::read_integer(std::string_view key) {
  TRY(const T value, reader_.value<T>(key));
  if constexpr (std::is_same_v<T, uint64_t>) {
    if (value > kMaxInt64) return Value(value);
  }
  return Value(static_cast<int64_t>(value));
}

Result<std::string_view> PairReader::read_string(std::string_view key) {
  TRY(const auto value, reader_.string(kMaxStringBytes, key));
  if (!is_utf8(value)) {
    return fail(Code::kCorrupt, "{}: {} has a string that is not UTF-8: {}", file_, printable(key),
                printable(value));
  }
  return value;
}

Result<Value> PairReader::read_value(Type type, std::string_view key) {
  switch (type) {
    case Type::kU8:
      return read_integer<uint8_t>(key);
    case Type::kI8:
      return read_integer<int8_t>(key);
    case Type::kU16:
      return read_integer<uint16_t>(key);
    case Type::kI16:
      return read_integer<int16_t>(key);
    case Type::kU32:
      return read_integer<uint32_t>(key);
    case Type::kI32:
      return read_integer<int32_t>(key);
    case Type::kU64:
      return read_integer<uint64_t>(key);
    case Type::kI64:
      return read_integer<int64_t>(key);
    case Type::kF32: {
      TRY(const float value, reader_.value<float>(key));
      return Value(static_cast<double>(value));
    }
    case Type::kF64: {
      TRY(const double value, reader_.value<double>(key));
      return Value(value);
    }
    case Type::kBool: {
      TRY(const auto value, reader_.value<uint8_t>(key));
      if (value > 1) {
        return fail(Code::kCorrupt, "{}: {} has a bool of value {}", file_, printable(key), value);
      }
      return Value(value == 1);
    }
    case Type::kString: {
      TRY(const auto value, read_string(key));
      return Value(value);
    }
    case Type::kArray:
      return read_list(key, 1);
  }
  return fail(Code::kInternal, "{}: {} has a type without a reader", file_, printable(key));
}

Result<Value> PairReader::read_list(std::string_view key, int depth) {
  if (depth > kMaxListDepth) {
    return fail(Code::kLimit, "{}: {} has lists in lists, more than {} deep", file_, printable(key),
                kMaxListDepth);
  }
  TRY(const Type type, read_type(key));
  TRY(const auto count, reader_.value<uint64_t>(key));
  if (count > reader_.remaining() / kMinTypeBytes[static_cast<size_t>(type)]) {
    return fail(Code::kCorrupt, "{}: {} claims {} elements, more than the rest of the file holds",
                file_, printable(key), count);
  }
  if (count > kMaxListElements - list_elements_) {
    return fail(Code::kLimit, "{}: the lists up to {} have more than the {} elements allowed",
                file_, printable(key), kMaxListElements);
  }
  list_elements_ += count;
  switch (type) {
    case Type::kU8:
      return read_numbers<uint8_t, int64_t>(count, key);
    case Type::kBool:
      return read_bools(count, key);
    case Type::kI8:
      return read_numbers<int8_t, int64_t>(count, key);
    case Type::kU16:
      return read_numbers<uint16_t, int64_t>(count, key);
    case Type::kI16:
      return read_numbers<int16_t, int64_t>(count, key);
    case Type::kU32:
      return read_numbers<uint32_t, int64_t>(count, key);
    case Type::kI32:
      return read_numbers<int32_t, int64_t>(count, key);
    case Type::kU64:
      return read_numbers<uint64_t, int64_t>(count, key);
    case Type::kI64:
      return read_numbers<int64_t, int64_t>(count, key);
    case Type::kF32:
      return read_numbers<float, double>(count, key);
    case Type::kF64:
      return read_numbers<double, double>(count, key);
    case Type::kString:
      return read_strings(count, key);
    case Type::kArray:
      for (uint64_t i = 0; i < count; ++i) {
        TRY(read_list(key, depth + 1));
      }
      return Value(Composite());
  }
  return fail(Code::kInternal, "{}: {} has a type without a reader", file_, printable(key));
}

template <class T, class Wide>
Result<Value> PairReader::read_numbers(uint64_t count, std::string_view key) {
  TRY(const auto raw, reader_.take(count * sizeof(T), key));
  std::vector<Wide> list(count);
  for (uint64_t i = 0; i < count; ++i) {
    T element;
    std::memcpy(&element, raw.data() + i * sizeof(T), sizeof(T));
    if constexpr (std::is_same_v<T, uint64_t>) {
      if (element > kMaxInt64) {
        return fail(Code::kUnsupported, "{}: element {} of {} is above 2^63 - 1", file_, i,
                    printable(key));
      }
    }
    list[i] = static_cast<Wide>(element);  // NOLINT(bugprone-signed-char-misuse): a number
  }
  return Value(std::move(list));
}

Result<Value> PairReader::read_bools(uint64_t count, std::string_view key) {
  auto list = read_numbers<uint8_t, int64_t>(count, key);
  if (!list) return list;
  for (const int64_t element : std::get<std::vector<int64_t>>(*list)) {
    if (element > 1) {
      return fail(Code::kCorrupt, "{}: {} has a bool of value {}", file_, printable(key), element);
    }
  }
  return list;
}

Result<Value> PairReader::read_strings(uint64_t count, std::string_view key) {
  std::vector<std::string_view> list;
  list.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    TRY(const auto element, read_string(key));
    list.push_back(element);
  }
  return Value(std::move(list));
}

}  // namespace

Result<GgufPairs> read_gguf_pairs(ByteReader& reader, uint64_t count, std::string_view file) {
  PairReader pairs(reader, file);
  for (uint64_t i = 0; i < count; ++i) {
    TRY(pairs.read(i));
  }
  return pairs.take();
}

}  // namespace hachi::formats
