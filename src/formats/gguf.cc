#include "formats/gguf.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "core/checked.h"
#include "core/utf8.h"
#include "formats/byte_reader.h"
#include "formats/printable.h"

namespace hachi::formats {
namespace {

constexpr uint64_t kMaxPairs = 1 << 16;     // real files have fewer than 100
constexpr uint64_t kMaxKeyBytes = 1 << 10;  // the format allows 65,535
constexpr uint64_t kMaxStringBytes = 1 << 26;
constexpr int kMaxListDepth = 4;  // lists in lists
// Elements of all lists together. Real files have up to 1.4 million (262,144 tokens with their
// scores, types and merges); 16 bytes each in memory.
constexpr uint64_t kMaxListElements = 1 << 23;
constexpr uint64_t kMaxInt64 = std::numeric_limits<int64_t>::max();
constexpr uint64_t kMinAlignment = 8;
constexpr uint64_t kMaxAlignment = 1 << 16;
constexpr uint64_t kDefaultAlignment = 32;

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

struct TensorType {
  std::string_view name;
  std::optional<DType> dtype;  // nothing for those that Hachi does not read
};

// By ggml's number of the type.
constexpr std::array<TensorType, 40> kTensorTypes = {{
    {"F32", DType::kF32},
    {"F16", DType::kF16},
    {"Q4_0", DType::kQ4_0},
    {"Q4_1", DType::kQ4_1},
    {"Q4_2", {}},
    {"Q4_3", {}},
    {"Q5_0", DType::kQ5_0},
    {"Q5_1", DType::kQ5_1},
    {"Q8_0", DType::kQ8_0},
    {"Q8_1", {}},
    {"Q2_K", DType::kQ2_K},
    {"Q3_K", DType::kQ3_K},
    {"Q4_K", DType::kQ4_K},
    {"Q5_K", DType::kQ5_K},
    {"Q6_K", DType::kQ6_K},
    {"Q8_K", {}},
    {"IQ2_XXS", {}},
    {"IQ2_XS", {}},
    {"IQ3_XXS", {}},
    {"IQ1_S", {}},
    {"IQ4_NL", DType::kIQ4_NL},
    {"IQ3_S", {}},
    {"IQ2_S", {}},
    {"IQ4_XS", DType::kIQ4_XS},
    {"I8", {}},
    {"I16", {}},
    {"I32", DType::kI32},
    {"I64", {}},
    {"F64", {}},
    {"IQ1_M", {}},
    {"BF16", DType::kBF16},
    {"Q4_0_4_4", {}},
    {"Q4_0_4_8", {}},
    {"Q4_0_8_8", {}},
    {"TQ1_0", {}},
    {"TQ2_0", {}},
    {"IQ4_NL_4_4", {}},
    {"IQ4_NL_4_8", {}},
    {"IQ4_NL_8_8", {}},
    {"MXFP4", {}},
}};

struct Header {
  uint64_t num_tensors = 0;
  uint64_t num_pairs = 0;
};

class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, std::string_view file)
      : bytes_(bytes), file_(file), reader_(bytes, file) {}

  Result<Gguf> parse();

 private:
  struct Placed {
    TensorClaim claim;
    uint64_t offset = 0;
    uint64_t bytes = 0;
  };

  Result<Header> read_header();
  Result<void> read_pair(uint64_t index);
  Result<Type> read_type(std::string_view key);
  Result<Value> read_value(Type type, std::string_view key);
  Result<Value> read_list(std::string_view key, int depth);
  Result<Value> read_bools(uint64_t count, std::string_view key);
  Result<Value> read_strings(uint64_t count, std::string_view key);
  template <class T, class Wide>
  Result<Value> read_numbers(uint64_t count, std::string_view key);
  template <class T>
  Result<Value> read_integer(std::string_view key);
  Result<uint64_t> alignment() const;
  Result<Placed> read_tensor(uint64_t index);
  Result<void> place_tensors(const std::vector<Placed>& placed, uint64_t alignment);

  std::span<const std::byte> bytes_;
  std::string_view file_;
  ByteReader reader_;
  uint64_t list_elements_ = 0;
  Gguf gguf_;
};

Result<Header> GgufParser::read_header() {
  constexpr std::string_view kMagic = "GGUF";
  TRY(const auto raw, reader_.take(kMagic.size(), "the header"));
  const std::string_view magic(reinterpret_cast<const char*>(raw.data()), raw.size());
  if (magic != kMagic) {
    return fail(Code::kCorrupt, "{}: not a GGUF file, it begins with {}", file_, printable(magic));
  }
  TRY(const auto version, reader_.value<uint32_t>("the version"));
  if (version != 0 && (version & 0xFFFF) == 0) {
    return fail(Code::kUnsupported,
                "{}: the file is big-endian, which Hachi does not read; convert it again on a "
                "little-endian machine",
                file_);
  }
  if (version != 2 && version != 3) {
    return fail(Code::kUnsupported,
                "{}: GGUF version {}, where Hachi reads 2 and 3; convert the model again with "
                "today's tools",
                file_, version);
  }
  Header header;
  TRY(header.num_tensors, reader_.value<uint64_t>("the number of tensors"));
  TRY(header.num_pairs, reader_.value<uint64_t>("the number of pairs"));
  if (header.num_tensors > kMaxTensors) {
    return fail(Code::kLimit, "{}: the header claims {} tensors, more than the {} allowed", file_,
                header.num_tensors, kMaxTensors);
  }
  if (header.num_pairs > kMaxPairs) {
    return fail(Code::kLimit, "{}: the header claims {} pairs, more than the {} allowed", file_,
                header.num_pairs, kMaxPairs);
  }
  return header;
}

Result<Type> GgufParser::read_type(std::string_view key) {
  TRY(const auto number, reader_.value<uint32_t>("a type"));
  if (number >= kMinTypeBytes.size()) {
    return fail(Code::kCorrupt, "{}: {} has a value of the unknown type {}", file_, printable(key),
                number);
  }
  return static_cast<Type>(number);
}

Result<void> GgufParser::read_pair(uint64_t index) {
  TRY(const auto key, reader_.string(kMaxKeyBytes, "a key"));
  if (key.empty() || !is_utf8(key)) {
    return fail(Code::kCorrupt, "{}: the key of pair {}, {}, is not text", file_, index,
                printable(key));
  }
  TRY(const Type type, read_type(key));
  TRY(auto value, read_value(type, key));
  if (!gguf_.metadata.add(key, std::move(value))) {
    return fail(Code::kCorrupt, "{}: the key {} is there twice", file_, printable(key));
  }
  return {};
}

template <class T>
Result<Value> GgufParser::read_integer(std::string_view key) {
  TRY(const T value, reader_.value<T>(key));
  if constexpr (std::is_same_v<T, uint64_t>) {
    if (value > kMaxInt64) return Value(value);
  }
  return Value(static_cast<int64_t>(value));
}

Result<Value> GgufParser::read_value(Type type, std::string_view key) {
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
      TRY(const auto value, reader_.string(kMaxStringBytes, key));
      return Value(value);
    }
    case Type::kArray:
      return read_list(key, 1);
  }
  return fail(Code::kInternal, "{}: {} has a type without a reader", file_, printable(key));
}

Result<Value> GgufParser::read_list(std::string_view key, int depth) {
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
      return Value();
  }
  return fail(Code::kInternal, "{}: {} has a type without a reader", file_, printable(key));
}

template <class T, class Wide>
Result<Value> GgufParser::read_numbers(uint64_t count, std::string_view key) {
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
    list[i] = static_cast<Wide>(element);
  }
  return Value(std::move(list));
}

Result<Value> GgufParser::read_bools(uint64_t count, std::string_view key) {
  auto list = read_numbers<uint8_t, int64_t>(count, key);
  if (!list) return list;
  for (const int64_t element : std::get<std::vector<int64_t>>(*list)) {
    if (element > 1) {
      return fail(Code::kCorrupt, "{}: {} has a bool of value {}", file_, printable(key), element);
    }
  }
  return list;
}

Result<Value> GgufParser::read_strings(uint64_t count, std::string_view key) {
  std::vector<std::string_view> list;
  list.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    TRY(const auto element, reader_.string(kMaxStringBytes, key));
    list.push_back(element);
  }
  return Value(std::move(list));
}

Result<uint64_t> GgufParser::alignment() const {
  const std::string_view key = "general.alignment";
  const auto stated = gguf_.metadata.integer(key);
  if (!stated) return fail(Code::kCorrupt, "{}: {}", file_, stated.error().message);
  if (!stated->has_value()) return kDefaultAlignment;
  const int64_t value = **stated;
  if (value < int64_t{kMinAlignment} || value > int64_t{kMaxAlignment} ||
      (value & (value - 1)) != 0) {
    return fail(Code::kCorrupt, "{}: {} is {}, not a power of two from {} to {}", file_, key, value,
                kMinAlignment, kMaxAlignment);
  }
  return static_cast<uint64_t>(value);
}

Result<GgufParser::Placed> GgufParser::read_tensor(uint64_t index) {
  Placed placed;
  TensorClaim& claim = placed.claim;
  TRY(claim.name, reader_.string(kMaxTensorNameBytes, fmt::format("the name of tensor {}", index)));
  TRY(const auto rank, reader_.value<uint32_t>("a number of dimensions"));
  if (rank < 1 || rank > ConstTensor::kMaxRank) {
    return fail(Code::kCorrupt, "{}: tensor {} has {} dimensions, where 1 to {} are possible",
                file_, printable(claim.name), rank, ConstTensor::kMaxRank);
  }
  claim.sizes.resize(rank);
  for (auto size = claim.sizes.rbegin(); size != claim.sizes.rend(); ++size) {
    TRY(*size, reader_.value<uint64_t>("a dimension"));
  }
  TRY(const auto type, reader_.value<uint32_t>("a tensor's type"));
  TRY(placed.offset, reader_.value<uint64_t>("a tensor's offset"));
  if (type >= kTensorTypes.size()) {
    return fail(Code::kUnsupported, "{}: tensor {} has the unknown type {}", file_,
                printable(claim.name), type);
  }
  if (!kTensorTypes[type].dtype) {
    return fail(Code::kUnsupported,
                "{}: tensor {} is of type {}, which Hachi does not read; use a model in Q4_K, Q8_0 "
                "or another common type",
                file_, printable(claim.name), kTensorTypes[type].name);
  }
  claim.dtype = *kTensorTypes[type].dtype;
  TRY(placed.bytes, dense_bytes(claim, file_));
  return placed;
}

// The tensors must fill the data, in whatever order, with no more between them than the padding.
Result<void> GgufParser::place_tensors(const std::vector<Placed>& placed, uint64_t alignment) {
  const auto align = [&](uint64_t at) { return (at + alignment - 1) / alignment * alignment; };
  const uint64_t base = align(reader_.position());
  std::vector<const Placed*> by_offset;
  for (const Placed& tensor : placed) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(),
            [](const Placed* a, const Placed* b) { return a->offset < b->offset; });
  uint64_t expected = 0;
  for (const Placed* tensor : by_offset) {
    if (tensor->offset != expected) {
      return fail(Code::kCorrupt,
                  "{}: tensor {} lies at offset {} where {} is next; tensors may neither overlap "
                  "nor leave room between them",
                  file_, printable(tensor->claim.name), tensor->offset, expected);
    }
    const uint64_t room = bytes_.size() - std::min<uint64_t>(base, bytes_.size());
    if (!fits(tensor->offset, tensor->bytes, room)) {
      return fail(Code::kCorrupt,
                  "{}: tensor {} needs {} bytes at offset {} and the file has {} for all; it is "
                  "cut short or damaged",
                  file_, printable(tensor->claim.name), tensor->bytes, tensor->offset, room);
    }
    expected = align(tensor->offset + tensor->bytes);
  }
  for (const Placed& tensor : placed) {
    gguf_.tensors.push_back(make_entry(tensor.claim, bytes_.data() + base + tensor.offset));
  }
  return check_names(gguf_.tensors, file_);
}

Result<Gguf> GgufParser::parse() {
  TRY(const Header header, read_header());
  for (uint64_t i = 0; i < header.num_pairs; ++i) {
    TRY(read_pair(i));
  }
  TRY(const uint64_t data_alignment, alignment());
  std::vector<Placed> placed;
  for (uint64_t i = 0; i < header.num_tensors; ++i) {
    TRY(auto tensor, read_tensor(i));
    placed.push_back(std::move(tensor));
  }
  TRY(place_tensors(placed, data_alignment));
  return std::move(gguf_);
}

}  // namespace

Result<Gguf> parse_gguf(std::span<const std::byte> bytes, std::string_view file) {
  return GgufParser(bytes, file).parse();
}

}  // namespace hachi::formats
