#include "server/model_pool.h"

#include <algorithm>
#include <utility>

namespace hachi::server {

ModelPool::ModelPool(std::vector<OfferedModel> offered, ModelPoolOptions options,
                     std::function<Result<ModelParts>(size_t)> load, std::function<void()> on_news)
    : offered_(std::move(offered)),
      options_(options),
      load_(std::move(load)),
      on_news_(std::move(on_news)),
      slots_(offered_.size()) {}

ModelPool::~ModelPool() { close(); }

void ModelPool::close() {
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
  for (Slot& slot : slots_) {
    if (slot.model) slot.model->engine.close();
    slot.model.reset();
  }
}

api::ApiResult<size_t> ModelPool::place_of(std::string_view name) const {
  if (name.empty()) return size_t{0};
  for (size_t i = 0; i < offered_.size(); ++i) {
    if (offered_[i].name == name) return i;
  }
  std::string names;
  for (const OfferedModel& one : offered_) names += (names.empty() ? "" : ", ") + one.name;
  return tl::unexpected(
      api::ApiError{404, fmt::format("the model '{}' is not served here: {}", name, names), "model",
                    "model_not_found"});
}

api::ApiResult<std::shared_ptr<ServedModel>> ModelPool::find(std::string_view name) {
  const auto place = place_of(name);
  if (!place) return tl::unexpected(place.error());
  const std::lock_guard lock(mutex_);
  Slot& slot = slots_[*place];
  slot.last_used = Clock::now();
  return slot.model;
}

api::ApiResult<std::shared_ptr<ServedModel>> ModelPool::load(std::string_view name) {
  const auto place = place_of(name);
  if (!place) return tl::unexpected(place.error());
  const std::lock_guard loading(load_mutex_);
  std::vector<std::shared_ptr<ServedModel>> unloaded;  // they go after the lock
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slots_[*place];
    slot.last_used = Clock::now();
    if (slot.model) return slot.model;
    if (is_closed_) {
      return tl::unexpected(api::ApiError{503, "the server is stopping", "", ""});
    }
    if (!make_room(offered_[*place].bytes, unloaded)) {
      return tl::unexpected(api::ApiError{
          503,
          "the models that are loaded are busy and leave no room for this one: try again later", "",
          "model_overloaded"});
    }
  }
  unloaded.clear();
  auto parts = load_(*place);
  if (!parts) {
    // Whatever it is, it is not the request that is wrong.
    return tl::unexpected(api::ApiError{500,
                                        fmt::format("the model '{}' cannot be loaded: {}",
                                                    offered_[*place].name, parts.error().message),
                                        "", "model_load_failed"});
  }
  auto model = std::make_shared<ServedModel>(offered_[*place].name, *std::move(parts),
                                             options_.engine, on_news_);
  const std::lock_guard lock(mutex_);
  slots_[*place] = {model, Clock::now()};
  return model;
}

std::vector<std::shared_ptr<ServedModel>> ModelPool::loaded() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<ServedModel>> models;
  for (const Slot& slot : slots_) models.push_back(slot.model);
  return models;
}

// A request holds its model from before it submits until after its stream has ended.
bool ModelPool::is_idle(const Slot& slot) const {
  return slot.model && slot.model.use_count() == 1;
}

bool ModelPool::make_room(uint64_t bytes, std::vector<std::shared_ptr<ServedModel>>& unloaded) {
  // A model that is larger than the budget may run alone.
  const uint64_t room = options_.memory_budget - std::min(bytes, options_.memory_budget);
  uint64_t used = 0, busy = 0;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].model) continue;
    used += offered_[i].bytes;
    if (!is_idle(slots_[i])) busy += offered_[i].bytes;
  }
  if (busy > room) return false;
  while (used > room) {
    size_t oldest = slots_.size();
    for (size_t i = 0; i < slots_.size(); ++i) {
      if (!is_idle(slots_[i])) continue;
      if (oldest == slots_.size() || slots_[i].last_used < slots_[oldest].last_used) oldest = i;
    }
    used -= offered_[oldest].bytes;
    unloaded.push_back(std::move(slots_[oldest].model));
  }
  return true;
}

void ModelPool::unload_idle() {
  if (options_.idle_time.count() == 0) return;
  std::vector<std::shared_ptr<ServedModel>> unloaded;
  const std::lock_guard lock(mutex_);
  for (Slot& slot : slots_) {
    if (!is_idle(slot) || Clock::now() - slot.last_used < options_.idle_time) continue;
    unloaded.push_back(std::move(slot.model));
  }
}

}  // namespace hachi::server
