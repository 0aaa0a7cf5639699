// Writes GGUF and safetensors bytes for tests: right ones, and with the knobs turned, wrong ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hachi::formats {

// Numbers of the types of pairs and tensors in GGUF.
namespace gguf_type {
inline constexpr uint32_t kU8 = 0, kI8 = 1, kU16 = 2, kI16 = 3, kU32 = 4, kI32 = 5, kF32 = 6,
                          kBool = 7, kString = 8, kList = 9, kU64 = 10, kI64 = 11, kF64 = 12;
inline constexpr uint32_t kTensorF32 = 0, kTensorF16 = 1, kTensorQ4_0 = 2, kTensorQ8_0 = 8,
                          kTensorQ4_K = 12;
}  // namespace gguf_type

// The bytes of a trivially copyable value, little endian.
template <class T>
std::string bytes_of(T value) {
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}

inline std::string gguf_string(std::string_view text) {
  return bytes_of<uint64_t>(text.size()) + std::string(text);
}

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// A file built pair by pair and tensor by tensor. Fields that are set override what the header
// would truly say.
struct GgufBytes {
  struct Tensor {
    std::string name;
    std::vector<uint64_t> sizes;  // outermost first
    uint32_t type;
    std::string data;
    std::optional<uint64_t> offset;  // overrides the right one
  };

  uint32_t version = 3;
  uint64_t alignment = 32;  // of the layout; the pair general.alignment is the caller's to add
  std::optional<uint64_t> num_tensors;
  std::optional<uint64_t> num_pairs;
  std::vector<std::string> pairs;
  std::vector<Tensor> tensors;

  // A pair of any type with the payload given as bytes.
  GgufBytes& raw(std::string_view key, uint32_t type, std::string_view payload) {
    pairs.push_back(gguf_string(key) + bytes_of(type) + std::string(payload));
    return *this;
  }
  GgufBytes& u32(std::string_view key, uint32_t value) {
    return raw(key, gguf_type::kU32, bytes_of(value));
  }
  GgufBytes& u64(std::string_view key, uint64_t value) {
    return raw(key, gguf_type::kU64, bytes_of(value));
  }
  GgufBytes& f32(std::string_view key, float value) {
    return raw(key, gguf_type::kF32, bytes_of(value));
  }
  GgufBytes& boolean(std::string_view key, bool value) {
    return raw(key, gguf_type::kBool, bytes_of<uint8_t>(value ? 1 : 0));
  }
  GgufBytes& string(std::string_view key, std::string_view value) {
    return raw(key, gguf_type::kString, gguf_string(value));
  }
  // A list with the payload of its elements given as bytes.
  GgufBytes& raw_list(std::string_view key, uint32_t type, uint64_t count,
                      std::string_view payload) {
    return raw(key, gguf_type::kList, bytes_of(type) + bytes_of(count) + std::string(payload));
  }
  GgufBytes& strings(std::string_view key, const std::vector<std::string>& values) {
    std::string payload;
    for (const std::string& value : values) payload += gguf_string(value);
    return raw_list(key, gguf_type::kString, values.size(), payload);
  }
  GgufBytes& i32s(std::string_view key, const std::vector<int32_t>& values) {
    std::string payload;
    for (const int32_t value : values) payload += bytes_of(value);
    return raw_list(key, gguf_type::kI32, values.size(), payload);
  }
  GgufBytes& f32s(std::string_view key, const std::vector<float>& values) {
    std::string payload;
    for (const float value : values) payload += bytes_of(value);
    return raw_list(key, gguf_type::kF32, values.size(), payload);
  }
  GgufBytes& tensor(std::string_view name, std::vector<uint64_t> sizes, uint32_t type,
                    std::string_view data) {
    tensors.push_back({std::string(name), std::move(sizes), type, std::string(data), {}});
    return *this;
  }
  GgufBytes& f32_tensor(std::string_view name, std::vector<uint64_t> sizes,
                        const std::vector<float>& values) {
    std::string data;
    for (const float value : values) data += bytes_of(value);
    return tensor(name, std::move(sizes), gguf_type::kTensorF32, data);
  }

  void pad(std::string& out) const {
    out.resize((out.size() + alignment - 1) / alignment * alignment);
  }

  std::string bytes() const {
    std::string out = "GGUF" + bytes_of(version) +
                      bytes_of<uint64_t>(num_tensors.value_or(tensors.size())) +
                      bytes_of<uint64_t>(num_pairs.value_or(pairs.size()));
    for (const std::string& pair : pairs) out += pair;
    std::string data;
    for (const Tensor& tensor : tensors) {
      out += gguf_string(tensor.name) + bytes_of(static_cast<uint32_t>(tensor.sizes.size()));
      for (auto size = tensor.sizes.rbegin(); size != tensor.sizes.rend(); ++size) {
        out += bytes_of(*size);
      }
      out += bytes_of(tensor.type) + bytes_of<uint64_t>(tensor.offset.value_or(data.size()));
      data += tensor.data;
      pad(data);
    }
    pad(out);
    return out + data;
  }
};

// A safetensors file with that header, padded to 8 bytes with spaces as the format advises.
inline std::string safetensors_bytes(std::string header, std::string_view data) {
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return bytes_of<uint64_t>(header.size()) + header + std::string(data);
}

}  // namespace hachi::formats
