#include "engine/host_pages.h"

#include <span>

namespace hachi::engine {

HostPages::HostPages(int64_t num_pages, int64_t num_device_pages, double copy_seconds)
    : pool_(num_pages), copy_seconds_(copy_seconds) {
  if (num_pages == 0) return;
  copies_.reserve(static_cast<size_t>(num_pages + num_device_pages));
  runs_.reserve(copies_.capacity());
}

void HostPages::ask(bool is_save, int32_t page, int32_t host_page) {
  if (runs_.empty() || runs_.back().is_save != is_save) runs_.push_back({is_save, 0});
  ++runs_.back().count;
  copies_.push_back({page, host_page});
}

void HostPages::run(StepModel& model) {
  size_t first = 0;
  for (const Run& run : runs_) {
    const auto copies = std::span(copies_).subspan(first, run.count);
    run.is_save ? model.save_pages(copies) : model.load_pages(copies);
    first += run.count;
  }
  copies_.clear();
  runs_.clear();
}

}  // namespace hachi::engine
