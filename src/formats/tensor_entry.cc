#include "formats/tensor_entry.h"

#include <algorithm>
#include <limits>

#include "core/checked.h"
#include "core/utf8.h"
#include "formats/printable.h"

namespace hachi::formats {

int64_t TensorEntry::num_elements() const {
  int64_t count = 1;
  for (int i = 0; i < data.rank(); ++i) count *= data.size(i);
  return count;
}

uint64_t TensorEntry::bytes() const {
  return static_cast<uint64_t>(row_bytes(data.dtype(), num_elements()));
}

Result<uint64_t> dense_bytes(const TensorClaim& claim, std::string_view file) {
  const size_t rank = claim.sizes.size();
  if (rank < 1 || rank > ConstTensor::kMaxRank) {
    return fail(Code::kCorrupt, "{}: tensor {} has {} dimensions, where 1 to {} are possible", file,
                printable(claim.name), rank, ConstTensor::kMaxRank);
  }
  if (claim.panels && rank != 2) {
    return fail(Code::kCorrupt, "{}: tensor {} lies in panels and has {} dimensions, not 2", file,
                printable(claim.name), rank);
  }
  const DTypeTraits& type = traits(claim.dtype);
  const uint64_t row = claim.sizes.back();
  const auto block = static_cast<uint64_t>(type.block_size);
  if (row % block != 0) {
    return fail(Code::kCorrupt, "{}: tensor {} has rows of {} elements, not a multiple of {}'s {}",
                file, printable(claim.name), row, type.name, block);
  }
  auto bytes = checked_mul(row / block, static_cast<uint64_t>(type.block_bytes));
  if (bytes && claim.panels) bytes = checked_mul(*bytes, kPanelRows);
  for (size_t i = 0; i + 1 < rank && bytes; ++i) {
    const uint64_t size = claim.sizes[i];
    const uint64_t panels = size / kPanelRows + (size % kPanelRows != 0 ? 1 : 0);
    bytes = checked_mul(*bytes, claim.panels ? panels : size);
  }
  if (!bytes || *bytes > uint64_t{std::numeric_limits<int64_t>::max()}) {
    return fail(Code::kCorrupt, "{}: the sizes of tensor {} overflow", file, printable(claim.name));
  }
  for (const uint64_t size : claim.sizes) {
    if (size == 0) {
      return fail(Code::kCorrupt, "{}: tensor {} has a dimension of 0", file,
                  printable(claim.name));
    }
  }
  return *bytes;
}

TensorEntry make_entry(const TensorClaim& claim, const std::byte* data) {
  const auto size = [&](size_t i) { return static_cast<int64_t>(claim.sizes[i]); };
  TensorEntry entry{claim.name, {}};
  if (claim.panels) {
    entry.data = ConstTensor(nullptr, claim.dtype, {size(0), size(1)});
    entry.panels = data;
    return entry;
  }
  switch (claim.sizes.size()) {
    case 1:
      entry.data = ConstTensor(data, claim.dtype, {size(0)});
      break;
    case 2:
      entry.data = ConstTensor(data, claim.dtype, {size(0), size(1)});
      break;
    case 3:
      entry.data = ConstTensor(data, claim.dtype, {size(0), size(1), size(2)});
      break;
    default:
      CHECK_EQ(claim.sizes.size(), size_t{4});
      entry.data = ConstTensor(data, claim.dtype, {size(0), size(1), size(2), size(3)});
  }
  return entry;
}

Result<void> check_names(std::span<const TensorEntry> entries, std::string_view file) {
  std::vector<std::string_view> names;
  names.reserve(entries.size());
  for (const TensorEntry& entry : entries) {
    const std::string_view name = entry.name;
    if (name.empty() || name.size() > kMaxTensorNameBytes || !is_utf8(name)) {
      return fail(Code::kCorrupt, "{}: a tensor's name, {}, is not 1 to {} bytes of UTF-8", file,
                  printable(name), kMaxTensorNameBytes);
    }
    names.push_back(name);
  }
  // Sorted, not hashed: a file may choose its names so that their hashes are all the same.
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    return fail(Code::kCorrupt, "{}: there are two tensors named {}", file, printable(*twice));
  }
  return {};
}

}  // namespace hachi::formats
