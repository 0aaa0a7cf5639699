#include "cli/quantize_report.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/store.h"
#include "cli/terminal.h"

namespace hachi::cli {
namespace {

using quantize::Plan;
using quantize::PlannedTensor;

struct Kind {
  std::string name;  // "blk.N.attn_q.weight"
  DType from;
  DType to;
  bool panels;
  int64_t count = 0;
  uint64_t bytes = 0;
};

DType type_before(const PlannedTensor& planned) { return planned.tensor->weight.values.dtype(); }

std::string_view file_type_name(const Plan& plan) {
  return plan.file == nullptr ? "keep" : plan.file->name;
}

std::string kind_name(const std::string& name) {
  if (!model::layer_of(name)) return name;
  return "blk.N" + name.substr(name.find('.', sizeof "blk." - 1));
}

std::vector<Kind> kinds_of(const Plan& plan) {
  std::vector<Kind> kinds;
  for (const PlannedTensor& planned : plan.tensors) {
    const std::string name = kind_name(planned.tensor->name);
    const auto same = [&](const Kind& kind) {
      return kind.name == name && kind.from == type_before(planned) && kind.to == planned.type &&
             kind.panels == planned.panels;
    };
    auto found = std::find_if(kinds.begin(), kinds.end(), same);
    if (found == kinds.end()) {
      kinds.push_back({name, type_before(planned), planned.type, planned.panels});
      found = std::prev(kinds.end());
    }
    ++found->count;
    found->bytes += planned.bytes();
  }
  std::stable_sort(kinds.begin(), kinds.end(),
                   [](const Kind& a, const Kind& b) { return a.name < b.name; });
  return kinds;
}

}  // namespace

std::string plan_table(const Plan& plan) {
  const std::vector<Kind> kinds = kinds_of(plan);
  size_t width = 6;
  for (const Kind& kind : kinds) width = std::max(width, printable(kind.name).size());
  std::string text = fmt::format("{:{}}  {:>5}  {:8}  {:8}  {:>10}\n", "TENSOR", width, "COUNT",
                                 "FROM", "TO", "SIZE");
  for (const Kind& kind : kinds) {
    text += fmt::format("{:{}}  {:>5}  {:8}  {:8}  {:>10}{}\n", printable(kind.name), width,
                        kind.count, name(kind.from), name(kind.to), human_bytes(kind.bytes),
                        kind.panels ? ", in panels" : "");
  }
  text += fmt::format("{:{}}  {:>5}  {:8}  {:8}  {:>10}, {:.2f} bits a weight\n", "all", width,
                      plan.tensors.size(), "", file_type_name(plan), human_bytes(plan.bytes()),
                      plan.bits_per_weight());
  return text;
}

std::string plan_json(const Plan& plan, const QuantizeResult& result) {
  boost::json::array tensors;
  for (const PlannedTensor& planned : plan.tensors) {
    boost::json::array shape;
    for (const int64_t size : planned.tensor->sizes) shape.push_back(size);
    tensors.push_back(boost::json::object{{"name", planned.tensor->name},
                                          {"shape", std::move(shape)},
                                          {"from", name(type_before(planned))},
                                          {"to", name(planned.type)},
                                          {"panels", planned.panels},
                                          {"bytes", planned.bytes()}});
  }
  boost::json::object json = {{"type", file_type_name(plan)},
                              {"tensor_bytes", plan.bytes()},
                              {"bits_per_weight", plan.bits_per_weight()},
                              {"tensors", std::move(tensors)}};
  if (!result.path.empty()) {
    json["path"] = result.path;
    json["file_bytes"] = result.file_bytes;
    json["seconds"] = result.seconds;
  }
  return boost::json::serialize(json) + "\n";
}

TensorProgress::TensorProgress(bool quiet) : enabled_(!quiet && is_terminal(stderr)) {}

TensorProgress::~TensorProgress() {
  if (enabled_) fmt::print(stderr, "\r\033[K");
}

void TensorProgress::update(const Plan& plan, size_t next, uint64_t bytes_done) {
  if (!enabled_ || next >= plan.tensors.size()) return;
  const PlannedTensor& planned = plan.tensors[next];
  fmt::print(stderr, "\r\033[K{}/{}  {} of {}  {}  {} -> {}", next + 1, plan.tensors.size(),
             human_bytes(bytes_done), human_bytes(plan.bytes()), printable(planned.tensor->name),
             name(type_before(planned)), name(planned.type));
  std::fflush(stderr);
}

}  // namespace hachi::cli
