#include "cli/cpu_info.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/terminal.h"
#include "core/thread_pool.h"
#include "kernels/cpu/chosen.h"
#include "kernels/cpu/features.h"
#include "kernels/cpu/limits.h"

namespace hachi::cli {
namespace {

struct Feature {
  std::string_view name;
  bool ops::CpuFeatures::*field;
  std::string_view what;
};

// Those that this kind of processor may have.
constexpr Feature kFeatures[] = {
#if defined(__aarch64__)
    {"NEON dot", &ops::CpuFeatures::neon_dot, "dot products of bytes in 128 bits"},
#else
    {"AVX2", &ops::CpuFeatures::avx2, "256-bit vectors, with FMA and F16C"},
    {"AVX-VNNI", &ops::CpuFeatures::avx_vnni, "8-bit dot products in 256 bits"},
    {"AVX-512", &ops::CpuFeatures::avx512, "512-bit vectors: F, BW, DQ, VL and VNNI"},
    {"AMX", &ops::CpuFeatures::amx, "products of int8 and bf16 tiles"},
#endif
};

struct Cache {
  std::string name;  // "L1 data"
  std::string size;
  std::string shared_by;  // numbers of processors
};

struct CpuInfo {
  std::string processor;
  int online = 0;
  int affinity = 0;
  int cores = 0;     // of the affinity mask
  double quota = 0;  // of the cgroup, in processors; 0: none
  int usable = 0;
  std::vector<Cache> caches;
  std::vector<ops::ChosenLoops> loops;
};

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

// Those of processor 0.
std::vector<Cache> caches() {
  constexpr int kMaxCaches = 16;
  std::vector<Cache> found;
  for (int i = 0; i < kMaxCaches; ++i) {
    const std::filesystem::path folder =
        fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}", i);
    const std::string level = first_line(folder / "level");
    if (level.empty()) break;
    std::string type = first_line(folder / "type");
    type = type == "Data" ? " data" : type == "Instruction" ? " code" : "";
    found.push_back({fmt::format("L{}{}", level, type), first_line(folder / "size"),
                     first_line(folder / "shared_cpu_list")});
  }
  return found;
}

CpuInfo find_out() {
  const Processors allowed = allowed_processors();
  return {processor_name(),
          static_cast<int>(std::thread::hardware_concurrency()),
          static_cast<int>(allowed.ids.size()),
          allowed.cores,
          cgroup_limit(),
          usable_cpus(),
          caches(),
          ops::chosen_loops(ops::cpu_features())};
}

struct Measured {
  int threads;
  ops::Limits limits;
};

Result<std::vector<Measured>> measure(int threads) {
  std::vector<Measured> all;
  for (const int count : threads > 1 ? std::vector{1, threads} : std::vector{threads}) {
    ThreadPool pool(count);
    TRY(const ops::Limits limits, ops::measure_limits(pool, ops::cpu_features()));
    all.push_back({count, limits});
  }
  return all;
}

void print_rate(std::string_view what, const ops::Rate& rate, std::string_view unit) {
  if (rate.best == 0) return;
  fmt::print("    {:<14}{:>9.1f} {} (median {:.1f}), {}\n", what, rate.best / 1e9, unit,
             rate.median / 1e9, rate.how);
}

void print_text(const CpuInfo& info, const std::vector<Measured>& measured) {
  fmt::print("{}\n", printable(info.processor));
  fmt::print("  processors      {} usable: {} online, {} by affinity on {} cores, {}\n",
             info.usable, info.online, info.affinity, info.cores,
             info.quota > 0 ? fmt::format("{:.2f} by the cgroup's limit", info.quota)
                            : "no limit by a cgroup");
  for (const Cache& cache : info.caches) {
    fmt::print("  {:<14}  {}, shared by {}\n", cache.name, cache.size, cache.shared_by);
  }
  fmt::print("  instructions\n");
  for (const Feature& feature : kFeatures) {
    fmt::print("    {:<14}{:<5}{}\n", feature.name,
               ops::cpu_features().*feature.field ? "yes" : "no", feature.what);
  }
  fmt::print("  kernels\n");
  for (const ops::ChosenLoops& loops : info.loops) {
    fmt::print("    {:<26}{:<14}{}\n", loops.op, loops.set, loops.why);
  }
  for (const Measured& group : measured) {
    fmt::print("  limits of {} thread{}\n", group.threads, group.threads == 1 ? "" : "s");
    print_rate("memory read", group.limits.read, "GB/s");
    print_rate("int8", group.limits.int8, "GOP/s");
    print_rate("float32", group.limits.float32, "GFLOP/s");
  }
}

boost::json::object rate_json(const ops::Rate& rate) {
  return {{"best", rate.best}, {"median", rate.median}, {"how", rate.how}};
}

void print_json(const CpuInfo& info, const std::vector<Measured>& measured) {
  boost::json::array caches_json;
  for (const Cache& cache : info.caches) {
    caches_json.push_back(
        {{"name", cache.name}, {"size", cache.size}, {"shared_by", cache.shared_by}});
  }
  boost::json::object features;
  for (const Feature& feature : kFeatures) {
    features[feature.name] = ops::cpu_features().*feature.field;
  }
  boost::json::array kernels;
  for (const ops::ChosenLoops& loops : info.loops) {
    kernels.push_back({{"op", loops.op}, {"set", loops.set}, {"why", loops.why}});
  }
  boost::json::array limits;
  for (const Measured& group : measured) {
    limits.push_back({{"threads", group.threads},
                      {"read", rate_json(group.limits.read)},
                      {"int8", rate_json(group.limits.int8)},
                      {"float32", rate_json(group.limits.float32)}});
  }
  boost::json::object json = {{"processor", info.processor},
                              {"usable", info.usable},
                              {"online", info.online},
                              {"affinity", info.affinity},
                              {"cores", info.cores},
                              {"caches", std::move(caches_json)},
                              {"instructions", std::move(features)},
                              {"kernels", std::move(kernels)},
                              {"limits", std::move(limits)}};
  if (info.quota > 0) json["cgroup_limit"] = fmt::format("{:.2f}", info.quota);
  fmt::print("{}\n", boost::json::serialize(json));
}

}  // namespace

Result<int> run_cpu_info(const CpuInfoOptions& options) {
  const CpuInfo info = find_out();
  std::vector<Measured> measured;
  if (options.measure) {
    TRY(measured, measure(options.threads > 0 ? options.threads : info.usable));
  }
  options.json ? print_json(info, measured) : print_text(info, measured);
  return 0;
}

}  // namespace hachi::cli
