#include "formats/gguf_writer.h"

#include <algorithm>
#include <bit>

#include "core/check.h"

namespace hachi::formats {
namespace {

constexpr uint32_t kVersion = 3;
constexpr uint32_t kString = 8;
constexpr uint32_t kList = 9;
constexpr std::string_view kAlignmentKey = "general.alignment";

template <class T>
void append(std::string& out, T value) {
  const size_t at = out.size();
  out.resize(at + sizeof(T));
  std::memcpy(out.data() + at, &value, sizeof(T));
}

void append_string(std::string& out, std::string_view text) {
  append<uint64_t>(out, text.size());
  out += text;
}

uint64_t padded(uint64_t bytes, uint64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

std::string GgufPairList::list_head(uint32_t type, uint64_t count) {
  std::string bytes;
  append(bytes, kList);
  append(bytes, type);
  append(bytes, count);
  return bytes;
}

void GgufPairList::set(std::string_view key, std::string_view value) {
  std::string bytes;
  append(bytes, kString);
  append_string(bytes, value);
  set_bytes(key, std::move(bytes));
}

void GgufPairList::set_list(std::string_view key, const std::vector<std::string>& values) {
  std::string bytes = list_head(kString, values.size());
  for (const std::string& value : values) append_string(bytes, value);
  set_bytes(key, std::move(bytes));
}

void GgufPairList::set(const RawPair& pair) {
  set_bytes(pair.key, {reinterpret_cast<const char*>(pair.value.data()), pair.value.size()});
}

void GgufPairList::set_bytes(std::string_view key, std::string bytes) {
  for (auto& [old_key, old_bytes] : entries_) {
    if (old_key != key) continue;
    old_bytes = std::move(bytes);
    return;
  }
  entries_.emplace_back(key, std::move(bytes));
}

void GgufPairList::erase(std::string_view key) {
  std::erase_if(entries_, [&](const auto& entry) { return entry.first == key; });
}

bool GgufPairList::contains(std::string_view key) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const auto& entry) { return entry.first == key; });
}

uint64_t GgufTensor::bytes() const {
  CHECK(!sizes.empty());
  auto bytes = static_cast<uint64_t>(row_bytes(dtype, sizes.back()));
  CHECK(!panels || sizes.size() == 2);
  for (size_t i = 0; i + 1 < sizes.size(); ++i) {
    const auto rows = static_cast<uint64_t>(sizes[i]);
    bytes *= panels ? padded(rows, kPanelRows) : rows;
  }
  return bytes;
}

std::string gguf_header(GgufPairList pairs, std::span<const GgufTensor> tensors,
                        uint64_t alignment) {
  CHECK(std::has_single_bit(alignment) && alignment >= 8);
  pairs.erase(kAlignmentKey);
  if (alignment != kGgufAlignment) pairs.set(kAlignmentKey, static_cast<uint32_t>(alignment));
  std::string out = "GGUF";
  append(out, kVersion);
  append<uint64_t>(out, tensors.size());
  append<uint64_t>(out, pairs.entries().size());
  for (const auto& [key, value] : pairs.entries()) {
    append_string(out, key);
    out += value;
  }
  uint64_t offset = 0;
  for (const GgufTensor& tensor : tensors) {
    const auto type = gguf_type_number(tensor.dtype);
    CHECK(type.has_value());
    append_string(out, tensor.name);
    append(out, static_cast<uint32_t>(tensor.sizes.size()));
    for (auto size = tensor.sizes.rbegin(); size != tensor.sizes.rend(); ++size) {
      append(out, static_cast<uint64_t>(*size));
    }
    append(out, tensor.panels ? kGgufPanelTypes + *type : *type);
    append(out, offset);
    offset += padded(tensor.bytes(), alignment);
  }
  out.resize(padded(out.size(), alignment));
  return out;
}

GgufWriter::GgufWriter(NewFile file, std::vector<GgufTensor> tensors, uint64_t alignment)
    : file_(std::move(file)), tensors_(std::move(tensors)), alignment_(alignment) {}

Result<GgufWriter> GgufWriter::create(const std::filesystem::path& path, const GgufPairList& pairs,
                                      std::vector<GgufTensor> tensors, uint64_t alignment) {
  const std::string header = gguf_header(pairs, tensors, alignment);
  TRY(NewFile file, NewFile::create(path));
  GgufWriter writer(std::move(file), std::move(tensors), alignment);
  writer.file_bytes_ = header.size();
  for (const GgufTensor& tensor : writer.tensors_) {
    writer.file_bytes_ += padded(tensor.bytes(), alignment);
  }
  TRY(writer.file_.reserve(writer.file_bytes_));
  TRY(writer.file_.write(std::as_bytes(std::span(header.data(), header.size()))));
  return writer;
}

Result<void> GgufWriter::write(std::span<const std::byte> bytes) {
  CHECK_LT(current_, tensors_.size());
  const uint64_t whole = tensors_[current_].bytes();
  CHECK_LE(bytes.size(), whole - written_);
  TRY(file_.write(bytes));
  written_ += bytes.size();
  if (written_ < whole) return {};
  const std::vector<std::byte> padding(padded(whole, alignment_) - whole);
  ++current_;
  written_ = 0;
  return file_.write(padding);
}

Result<void> GgufWriter::finish() {
  CHECK_EQ(current_, tensors_.size());
  return file_.commit();
}

}  // namespace hachi::formats
