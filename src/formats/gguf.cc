#include "formats/gguf.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/checked.h"
#include "formats/byte_reader.h"
#include "formats/printable.h"

namespace hachi::formats {
namespace {

constexpr uint64_t kMaxPairs = 1 << 16;  // real files have fewer than 100
constexpr uint64_t kMinAlignment = 8;
constexpr uint64_t kMaxAlignment = 1 << 16;

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
    {"IQ2_XXS", DType::kIQ2_XXS},
    {"IQ2_XS", DType::kIQ2_XS},
    {"IQ3_XXS", DType::kIQ3_XXS},
    {"IQ1_S", {}},
    {"IQ4_NL", DType::kIQ4_NL},
    {"IQ3_S", DType::kIQ3_S},
    {"IQ2_S", DType::kIQ2_S},
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
  Result<uint64_t> alignment() const;
  Result<Placed> read_tensor(uint64_t index);
  Result<void> place_tensors(const std::vector<Placed>& placed, uint64_t alignment);

  std::span<const std::byte> bytes_;
  std::string_view file_;
  ByteReader reader_;
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

Result<uint64_t> GgufParser::alignment() const {
  const std::string_view key = "general.alignment";
  const auto stated = gguf_.metadata.integer(key);
  if (!stated) return fail(Code::kCorrupt, "{}: {}", file_, stated.error().message);
  if (!stated->has_value()) return kGgufAlignment;
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
  TRY(const auto stored_type, reader_.value<uint32_t>("a tensor's type"));
  claim.panels = stored_type >= kGgufPanelTypes;
  const uint32_t type = claim.panels ? stored_type - kGgufPanelTypes : stored_type;
  TRY(placed.offset, reader_.value<uint64_t>("a tensor's offset"));
  if (type >= kTensorTypes.size()) {
    return fail(Code::kUnsupported, "{}: tensor {} has the unknown type {}", file_,
                printable(claim.name), stored_type);
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
  by_offset.reserve(placed.size());
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
  TRY(GgufPairs pairs, read_gguf_pairs(reader_, header.num_pairs, file_));
  gguf_.metadata = std::move(pairs.metadata);
  gguf_.raw_pairs = std::move(pairs.raw);
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

std::optional<uint32_t> gguf_type_number(DType dtype) {
  for (uint32_t i = 0; i < kTensorTypes.size(); ++i) {
    if (kTensorTypes[i].dtype == dtype) return i;
  }
  return std::nullopt;
}

Result<Gguf> parse_gguf(std::span<const std::byte> bytes, std::string_view file) {
  return GgufParser(bytes, file).parse();
}

}  // namespace hachi::formats
