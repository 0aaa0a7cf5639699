#include "engine/host_pages.h"

#include <span>

namespace hachi::engine {

HostPages::HostPages(int64_t num_pages, int64_t num_device_pages, double copy_seconds)
    : pool_(num_pages), copy_seconds_(copy_seconds) {
  if (num_pages == 0) return;
  copies_.reserve(static_cast<size_t>(num_pages + num_device_pages));
  runs_.reserve(copies_.capacity());
}

void HostPages::ask(Kind kind, int32_t page, int32_t host_page) {
  if (runs_.empty() || runs_.back().kind != kind) runs_.push_back({kind, 0});
  ++runs_.back().count;
  copies_.push_back({page, host_page});
}

void HostPages::run(StepModel& model) {
  size_t first = 0;
  for (const Run& run : runs_) {
    const auto copies = std::span(copies_).subspan(first, run.count);
    first += run.count;
    switch (run.kind) {
      case Kind::kSave:
        model.save_pages(copies);
        break;
      case Kind::kSaveBeside:
        model.save_pages_beside(copies);
        break;
      case Kind::kLoad:
        model.load_pages(copies);
        break;
    }
  }
  copies_.clear();
  runs_.clear();
}

}  // namespace hachi::engine
