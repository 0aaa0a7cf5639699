// Writes GGUF version 3 (gguf.h has the layout): the pairs, the tensors' descriptions, then the
// bytes of the tensors as they come, in order, so that no more than a piece of one is in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/files.h"
#include "core/result.h"
#include "core/tensor.h"
#include "formats/gguf.h"

namespace hachi::formats {

// The pairs of a file to be, in the order in which they were first set.
class GgufPairList {
 public:
  // T: uint8_t int8_t uint16_t int16_t uint32_t int32_t uint64_t int64_t float double bool. A key
  // that is there already gets the new value.
  template <class T>
  void set(std::string_view key, T value) {
    set_bytes(key, number(kTypeOf<T>) + plain(value));
  }
  void set(std::string_view key, std::string_view value);
  void set(std::string_view key, const std::string& value) { set(key, std::string_view(value)); }
  void set(std::string_view key, const char* value) { set(key, std::string_view(value)); }

  // A list of those.
  template <class T>
  void set_list(std::string_view key, const std::vector<T>& values) {
    std::string bytes = list_head(kTypeOf<T>, values.size());
    for (const T value : values) bytes += plain(value);
    set_bytes(key, std::move(bytes));
  }
  void set_list(std::string_view key, const std::vector<std::string>& values);

  void set(const RawPair& pair);  // of another file, as it lies there
  void erase(std::string_view key);
  bool contains(std::string_view key) const;

  // [(key, u32 type and value)]
  const std::vector<std::pair<std::string, std::string>>& entries() const { return entries_; }

 private:
  template <class T>
  static constexpr uint32_t type_of() {
    if constexpr (std::is_same_v<T, uint8_t>) return 0;
    if constexpr (std::is_same_v<T, int8_t>) return 1;
    if constexpr (std::is_same_v<T, uint16_t>) return 2;
    if constexpr (std::is_same_v<T, int16_t>) return 3;
    if constexpr (std::is_same_v<T, uint32_t>) return 4;
    if constexpr (std::is_same_v<T, int32_t>) return 5;
    if constexpr (std::is_same_v<T, float>) return 6;
    if constexpr (std::is_same_v<T, bool>) return 7;
    if constexpr (std::is_same_v<T, uint64_t>) return 10;
    if constexpr (std::is_same_v<T, int64_t>) return 11;
    if constexpr (std::is_same_v<T, double>) return 12;
  }
  template <class T>
  static constexpr uint32_t kTypeOf = type_of<T>();

  template <class T>
  static std::string plain(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }
  static std::string number(uint32_t value) { return plain(value); }
  static std::string list_head(uint32_t type, uint64_t count);
  void set_bytes(std::string_view key, std::string bytes);

  std::vector<std::pair<std::string, std::string>> entries_;
};

// A tensor of a file to be. The type is one that GGUF has.
struct GgufTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> sizes;  // outermost first, as everywhere; 1 to 4 of them
  bool panels = false;         // a matrix whose bytes come in panels (gguf.h)

  uint64_t bytes() const;
};

// All that stands before the tensors' bytes, padding included. `alignment`: a power of two from 8;
// another than 32 also becomes the pair general.alignment.
std::string gguf_header(GgufPairList pairs, std::span<const GgufTensor> tensors,
                        uint64_t alignment = kGgufAlignment);

// Move-only. What is not finished leaves no file.
class GgufWriter {
 public:
  // Takes the disk space of the whole file and writes the header beside `path`. Fails with kIo.
  static Result<GgufWriter> create(const std::filesystem::path& path, const GgufPairList& pairs,
                                   std::vector<GgufTensor> tensors,
                                   uint64_t alignment = kGgufAlignment);

  uint64_t file_bytes() const { return file_bytes_; }

  // The next bytes of the tensors, which come in their order; a piece lies within one tensor.
  Result<void> write(std::span<const std::byte> bytes);

  // All bytes of all tensors must have come. Syncs and renames the file to its place.
  Result<void> finish();

 private:
  GgufWriter(NewFile file, std::vector<GgufTensor> tensors, uint64_t alignment);

  NewFile file_;
  std::vector<GgufTensor> tensors_;
  uint64_t alignment_;
  uint64_t file_bytes_ = 0;
  size_t current_ = 0;    // the tensor that is being written
  uint64_t written_ = 0;  // of its bytes
};

}  // namespace hachi::formats
