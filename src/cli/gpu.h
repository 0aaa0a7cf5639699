// The choice between processor and GPU, for all commands that run a model.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <CLI/App.hpp>

#include "core/result.h"
#include "kernels/gpu.h"

namespace hachi::cli {

struct DeviceOptions {
  // "auto": a GPU if there is one that can be used; "cpu"; "cuda" or "cuda:1": that one or none.
  // What a command does not offer runs on the processor.
  std::string device = "cpu";
  uint64_t gpu_memory = 0;     // bytes that may be taken on it; 0: all that is free
  bool deterministic = false;  // GpuOptions::deterministic
  uint64_t left_bytes = 0;     // GpuOptions::left_bytes
};

// --device, --gpu-memory, --deterministic.
void add_device_options(CLI::App& app, DeviceOptions& options);

// The GPU that open_gpu() would take, with its bytes that may be used; nothing: the processor.
struct ChosenGpu {
  ops::GpuInfo info;
  uint64_t usable_bytes = 0;
};
std::optional<ChosenGpu> choose_gpu(const DeviceOptions& options);

// The GPU that `options` name, or the first.
int first_gpu(const DeviceOptions& options);

// The device of the i-th copy of a model, of which the first has the one of `options`: on GPUs one
// after the other.
DeviceOptions device_of_copy(const DeviceOptions& options, int i);

// Null: the processor.
Result<std::unique_ptr<ops::Gpu>> open_gpu(const DeviceOptions& options);

}  // namespace hachi::cli
