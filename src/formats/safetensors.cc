#include "formats/safetensors.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "core/checked.h"
#include "formats/byte_reader.h"
#include "formats/json.h"
#include "formats/printable.h"

namespace hachi::formats {
namespace {

namespace json = boost::json;

constexpr uint64_t kMaxHeaderBytes = 32 << 20;  // 100 to 200 bytes a tensor

struct NamedType {
  std::string_view name;
  DType dtype;
  uint64_t parts = 1;  // elements of `dtype` that one of the file is
};

// A whole number of 64 bits is two of 32, the low one first: compressed-tensors writes the shapes
// of packed matrices so, which the model's own numbers say too.
constexpr std::array<NamedType, 6> kTypes = {{{"F32", DType::kF32},
                                              {"F16", DType::kF16},
                                              {"BF16", DType::kBF16},
                                              {"F8_E4M3", DType::kF8E4M3},
                                              {"I32", DType::kI32},
                                              {"I64", DType::kI32, 2}}};

struct Placed {
  TensorClaim claim;
  uint64_t begin = 0;
  uint64_t end = 0;
};

Result<NamedType> read_type(const json::object& fields, std::string_view name,
                            std::string_view file) {
  const json::value* dtype = fields.if_contains("dtype");
  if (dtype == nullptr || !dtype->is_string()) {
    return fail(Code::kCorrupt, "{}: tensor {} has no dtype", file, printable(name));
  }
  const std::string_view wanted = dtype->get_string();
  for (const NamedType& type : kTypes) {
    if (type.name == wanted) return type;
  }
  return fail(
      Code::kUnsupported,
      "{}: tensor {} is of dtype {}, where Hachi reads F32, F16, BF16, F8_E4M3, I32 and I64", file,
      printable(name), printable(wanted));
}

// The list of sizes or offsets under `key`.
Result<std::vector<uint64_t>> read_list(const json::object& fields, std::string_view key,
                                        std::string_view name, std::string_view file) {
  const json::value* value = fields.if_contains(key);
  const json::array* array = value == nullptr ? nullptr : value->if_array();
  std::vector<uint64_t> list;
  bool well_formed = array != nullptr;
  for (size_t i = 0; well_formed && i < array->size(); ++i) {
    json::error_code ec;
    list.push_back((*array)[i].to_number<uint64_t>(ec));
    well_formed = !ec && !(*array)[i].is_double();
  }
  if (!well_formed) {
    return fail(Code::kCorrupt, "{}: the {} of tensor {} must be a list of whole numbers", file,
                key, printable(name));
  }
  return list;
}

Result<Placed> read_tensor(std::string_view name, const json::value& value, std::string_view file) {
  const json::object* fields = value.if_object();
  if (fields == nullptr) {
    return fail(Code::kCorrupt, "{}: the entry of tensor {} is not an object", file,
                printable(name));
  }
  Placed placed;
  placed.claim.name = name;
  TRY(const NamedType type, read_type(*fields, name, file));
  placed.claim.dtype = type.dtype;
  TRY(placed.claim.sizes, read_list(*fields, "shape", name, file));
  if (placed.claim.sizes.empty()) placed.claim.sizes.push_back(1);
  const auto last = checked_mul(placed.claim.sizes.back(), type.parts);
  if (!last)
    return fail(Code::kCorrupt, "{}: the sizes of tensor {} overflow", file, printable(name));
  placed.claim.sizes.back() = *last;
  TRY(const auto offsets, read_list(*fields, "data_offsets", name, file));
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    return fail(Code::kCorrupt, "{}: the data_offsets of tensor {} are not a begin and an end",
                file, printable(name));
  }
  placed.begin = offsets[0];
  placed.end = offsets[1];
  TRY(const uint64_t bytes, dense_bytes(placed.claim, file));
  if (bytes != placed.end - placed.begin) {
    return fail(Code::kCorrupt, "{}: tensor {} has {} bytes by its shape and {} by its offsets",
                file, printable(name), bytes, placed.end - placed.begin);
  }
  return placed;
}

// The tensors, which are in the order of their offsets, must fill `data` without a gap.
Result<void> check_places(const std::vector<Placed>& placed, uint64_t header_bytes,
                          uint64_t data_bytes, std::string_view file) {
  uint64_t expected = 0;
  for (const Placed& tensor : placed) {
    if (tensor.begin != expected) {
      return fail(Code::kCorrupt,
                  "{}: tensor {} begins at {} where {} is next; tensors may neither overlap nor "
                  "leave room between them",
                  file, printable(tensor.claim.name), tensor.begin, expected);
    }
    if (tensor.end > data_bytes) {
      return fail(Code::kCorrupt,
                  "{}: tensor {} ends at {} and the file has {} bytes for all; it is cut short or "
                  "damaged",
                  file, printable(tensor.claim.name), tensor.end, data_bytes);
    }
    const auto element = static_cast<uint64_t>(traits(tensor.claim.dtype).block_bytes);
    if ((header_bytes + tensor.begin) % element != 0) {
      return fail(Code::kUnsupported,
                  "{}: tensor {} does not begin at a multiple of its {} bytes an element; save the "
                  "file again with today's safetensors",
                  file, printable(tensor.claim.name), element);
    }
    expected = tensor.end;
  }
  if (expected != data_bytes) {
    return fail(Code::kCorrupt, "{}: {} bytes follow the last tensor", file, data_bytes - expected);
  }
  return {};
}

}  // namespace

Result<Safetensors> parse_safetensors(std::span<const std::byte> bytes, std::string_view file) {
  ByteReader reader(bytes, file);
  Safetensors parsed;
  TRY(const auto length, reader.value<uint64_t>("the header's length"));
  if (length > kMaxHeaderBytes) {
    return fail(Code::kLimit, "{}: the header claims {} bytes, more than the {} allowed", file,
                length, kMaxHeaderBytes);
  }
  TRY(const auto raw, reader.take(length, "the header"));
  const std::string_view text(reinterpret_cast<const char*>(raw.data()), raw.size());
  TRY(parsed.header, parse_json_object(text, file));
  if (parsed.header.size() > kMaxTensors) {
    return fail(Code::kLimit, "{}: the header has {} tensors, more than the {} allowed", file,
                parsed.header.size(), kMaxTensors);
  }
  std::vector<Placed> placed;
  for (const json::key_value_pair& pair : std::as_const(parsed.header)) {
    const std::string_view name = pair.key();
    if (name == "__metadata__") continue;
    TRY(auto tensor, read_tensor(name, pair.value(), file));
    placed.push_back(std::move(tensor));
  }
  std::sort(placed.begin(), placed.end(),
            [](const Placed& a, const Placed& b) { return a.begin < b.begin; });
  TRY(check_places(placed, reader.position(), reader.remaining(), file));
  const std::byte* data = bytes.data() + reader.position();
  for (const Placed& tensor : placed) {
    parsed.tensors.push_back(make_entry(tensor.claim, data + tensor.begin));
  }
  TRY(check_names(parsed.tensors, file));
  return parsed;
}

}  // namespace hachi::formats
