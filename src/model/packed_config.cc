#include "model/packed_config.h"

#include <optional>
#include <string>
#include <string_view>

#include "formats/printable.h"

namespace hachi::model {
namespace {

using formats::Checkpoint;
using formats::printable;

class ConfigReader {
 public:
  explicit ConfigReader(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  Result<PackedConfig> read() {
    // compressed-tensors once had a section of its own.
    if (checkpoint_.metadata().find("compression_config.quant_method") != nullptr) {
      prefix_ = "compression_config.";
    }
    TRY(const auto method, string("quant_method"));
    if (method == "gptq") return gptq();
    if (method == "awq") return awq();
    if (method == "compressed-tensors") return compressed_tensors();
    return unsupported("quant_method", method ? printable(*method) : "missing",
                       "'gptq', 'awq' and 'compressed-tensors'");
  }

 private:
  Result<std::optional<std::string_view>> string(std::string_view key) const {
    return checkpoint_.metadata().string(prefix_ + std::string(key));
  }

  tl::unexpected<Error> unsupported(std::string_view key, std::string_view value,
                                    std::string_view readable) const {
    return fail(
        Code::kUnsupported,
        "{}: its packed matrices have {}{} {}, and Hachi reads {}; take the model packed so, "
        "or a GGUF file",
        checkpoint_.path().string(), prefix_, key, value, readable);
  }

  Result<int64_t> group() const {
    TRY(const auto size, checkpoint_.metadata().integer(prefix_ + "group_size"));
    return size.value_or(0) > 0 ? *size : int64_t{0};
  }

  Result<PackedConfig> gptq() const {
    TRY(auto format, string("checkpoint_format"));
    if (!format) {
      TRY(format, string("format"));
    }
    if (format && *format != "gptq" && *format != "gptq_v2") {
      return unsupported("checkpoint_format", printable(*format), "'gptq' and 'gptq_v2'");
    }
    TRY(const int64_t size, group());
    return PackedConfig{Packing::kGptq, format != "gptq_v2", size};
  }

  Result<PackedConfig> awq() const {
    for (const std::string_view key : {"version", "checkpoint_format", "format"}) {
      TRY(const auto version, string(key));
      if (version && *version != "gemm" && *version != "GEMM") {
        return unsupported(key, printable(*version), "'gemm'");
      }
    }
    TRY(const int64_t size, group());
    return PackedConfig{Packing::kAwq, false, size};
  }

  Result<PackedConfig> compressed_tensors() const {
    TRY(const auto format, string("format"));
    if (format && *format != "pack-quantized" && *format != "mixed-precision") {
      return unsupported("format", printable(*format), "'pack-quantized'");
    }
    return PackedConfig{Packing::kCompressedTensors, false, 0};
  }

  const Checkpoint& checkpoint_;
  std::string prefix_ = "quantization_config.";
};

}  // namespace

Result<PackedConfig> read_packed_config(const Checkpoint& checkpoint) {
  return ConfigReader(checkpoint).read();
}

}  // namespace hachi::model
