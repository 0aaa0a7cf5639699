#include "cli/gpu_info.h"

#include <optional>
#include <vector>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/store.h"
#include "cli/terminal.h"
#include "kernels/gpu.h"

namespace hachi::cli {
namespace {

struct Found {
  ops::GpuInfo info;
  std::optional<ops::GpuLimits> limits;
};

Result<std::vector<Found>> find_gpus(bool measure) {
  std::vector<Found> found;
  for (const ops::GpuInfo& info : ops::list_gpus()) {
    Found& one = found.emplace_back(Found{info, std::nullopt});
    if (!measure) continue;
    TRY(const auto gpu, ops::Gpu::open({.index = static_cast<int>(found.size()) - 1}));
    TRY(one.limits, gpu->measure_limits());
  }
  return found;
}

boost::json::object to_json(const Found& found) {
  const ops::GpuInfo& info = found.info;
  boost::json::object json = {
      {"name", info.name},
      {"memory_bytes", info.memory_bytes},
      {"free_bytes", info.free_bytes},
      {"multiprocessors", info.multiprocessors},
      {"compute_capability", fmt::format("{}.{}", info.compute_major, info.compute_minor)}};
  if (found.limits) {
    json["limits"] = {
        {"read", found.limits->read}, {"bf16", found.limits->bf16}, {"fp8", found.limits->fp8}};
  }
  return json;
}

void print_text(size_t index, const Found& found) {
  const ops::GpuInfo& info = found.info;
  fmt::print("cuda:{}  {}, {} of memory, {} free, {} multiprocessors, compute capability {}.{}\n",
             index, printable(info.name), human_bytes(info.memory_bytes),
             human_bytes(info.free_bytes), info.multiprocessors, info.compute_major,
             info.compute_minor);
  if (!found.limits) return;
  fmt::print("        read {:.0f} GB/s, bf16 {:.0f} TFLOP/s, fp8 {:.0f} TFLOP/s\n",
             found.limits->read / 1e9, found.limits->bf16 / 1e12, found.limits->fp8 / 1e12);
}

}  // namespace

Result<int> run_gpu_info(const GpuInfoOptions& options) {
  TRY(const std::vector<Found> found, find_gpus(options.measure));
  if (options.json) {
    boost::json::array gpus;
    for (const Found& one : found) gpus.push_back(to_json(one));
    fmt::print("{}\n", boost::json::serialize(boost::json::object{{"gpus", std::move(gpus)}}));
    return 0;
  }
  if (found.empty()) fmt::print("No GPU that this hachi can use (see docs/gpu.md).\n");
  for (size_t i = 0; i < found.size(); ++i) print_text(i, found[i]);
  return 0;
}

}  // namespace hachi::cli
