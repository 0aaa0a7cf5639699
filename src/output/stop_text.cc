#include "output/stop_text.h"

#include <algorithm>
#include <utility>

namespace hachi::output {

StopText::StopText(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, "");
}

std::string StopText::push(std::string_view text) {
  if (found_) return {};
  held_ += text;
  size_t end = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at >= end) continue;
    end = at;
    text_ = stop;
  }
  if (end != std::string::npos) {
    found_ = true;
    return std::exchange(held_, "").substr(0, end);
  }
  // Keep the longest end that a stop text begins with.
  size_t keep = 0;
  for (const std::string& stop : stops_) {
    for (size_t length = std::min(stop.size() - 1, held_.size()); length > keep; --length) {
      if (held_.ends_with(std::string_view(stop).substr(0, length))) keep = length;
    }
  }
  std::string ready = held_.substr(0, held_.size() - keep);
  held_.erase(0, ready.size());
  return ready;
}

std::string StopText::finish() { return std::exchange(held_, ""); }

}  // namespace hachi::output
