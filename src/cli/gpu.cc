#include "cli/gpu.h"

#include <charconv>
#include <optional>

#include <CLI/Validators.hpp>
#include <fmt/format.h>

namespace hachi::cli {
namespace {

constexpr std::string_view kCuda = "cuda";
constexpr int kMaxIndex = 63;

// 0 of "cuda", N of "cuda:N".
std::optional<int> index_of(std::string_view device) {
  if (device.substr(0, kCuda.size()) != kCuda) return std::nullopt;
  device.remove_prefix(kCuda.size());
  if (device.empty()) return 0;
  if (device.front() != ':') return std::nullopt;
  int index = 0;
  const char* const end = device.data() + device.size();
  const auto read = std::from_chars(device.data() + 1, end, index);
  const bool whole = read.ec == std::errc() && read.ptr == end && device.size() > 1;
  return whole && index >= 0 && index <= kMaxIndex ? std::optional(index) : std::nullopt;
}

}  // namespace

void add_device_options(CLI::App& app, DeviceOptions& options) {
  options.device = "auto";
  app.add_option("--device", options.device,
                 "Where to compute: auto (a GPU if there is one), cpu, cuda, cuda:1, ...")
      ->check(CLI::Validator(
          [](const std::string& value) {
            const bool known = value == "auto" || value == "cpu" || index_of(value);
            return known ? std::string()
                         : fmt::format("'{}' is not auto, cpu, cuda or cuda:N", value);
          },
          ""))
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--gpu-memory", options.gpu_memory,
                 "Memory to take on the GPU at most, such as 16GB (default: all that is free)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  app.add_flag("--deterministic", options.deterministic,
               "On a GPU too the same answer alone and among others, slower (processors always)");
}

std::optional<ChosenGpu> choose_gpu(const DeviceOptions& options) {
  if (options.device == "cpu") return std::nullopt;
  const std::vector<ops::GpuInfo> gpus = ops::list_gpus();
  const auto index = static_cast<size_t>(index_of(options.device).value_or(0));
  if (index >= gpus.size()) return std::nullopt;
  return ChosenGpu{gpus[index], ops::usable_bytes(gpus[index], {.memory_bytes = options.gpu_memory,
                                                                .left_bytes = options.left_bytes})};
}

int first_gpu(const DeviceOptions& options) { return index_of(options.device).value_or(0); }

DeviceOptions device_of_copy(const DeviceOptions& options, int i) {
  DeviceOptions own = options;
  if (i > 0 && choose_gpu(options)) {
    own.device = fmt::format("cuda:{}", index_of(options.device).value_or(0) + i);
  }
  return own;
}

Result<std::unique_ptr<ops::Gpu>> open_gpu(const DeviceOptions& options) {
  if (options.device == "cpu") return nullptr;
  const bool any = options.device == "auto";
  if (any && ops::list_gpus().empty()) return nullptr;
  auto gpu = ops::Gpu::open({.index = any ? 0 : *index_of(options.device),
                             .memory_bytes = options.gpu_memory,
                             .left_bytes = options.left_bytes,
                             .deterministic = options.deterministic});
  if (gpu || !any) return gpu;
  fmt::print(stderr, "hachi: the processor computes, as the GPU cannot: {}\n", gpu.error().message);
  return nullptr;
}

}  // namespace hachi::cli
