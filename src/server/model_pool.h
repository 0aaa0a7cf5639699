// ModelPool: the models that a server offers: loaded when they are asked for, unloaded when idle.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "api/error.h"
#include "server/served_model.h"

namespace hachi::server {

struct OfferedModel {
  std::string name;     // as requests name it
  uint64_t bytes = 0;   // of memory that it will take, about
  int64_t created = 0;  // seconds since 1970
};

struct ModelPoolOptions {
  uint64_t memory_budget = UINT64_MAX;  // bytes of all loaded models
  std::chrono::seconds idle_time{0};    // unload after so long without a request; 0: never
  engine::EngineOptions engine;
  int64_t copies = 1;  // of a model, each with an engine
};

class ModelPool {
 public:
  // `load` opens a model by its place in `offered`. `on_news` as the engine's.
  ModelPool(std::vector<OfferedModel> offered, ModelPoolOptions options,
            std::function<Result<ModelParts>(size_t)> load, std::function<void()> on_news);
  // Ends the requests of all models.
  ~ModelPool();
  ModelPool(const ModelPool&) = delete;
  ModelPool& operator=(const ModelPool&) = delete;

  // The model of that name; "" is the first one. Fails with 404 for a name that is not offered.
  // Null if it is not loaded.
  api::ApiResult<std::shared_ptr<ServedModel>> find(std::string_view name);

  // The same, loaded if it is not: may take long, and one model loads at a time. Fails with 503 if
  // the others are busy and leave no room, and with what the loader says.
  api::ApiResult<std::shared_ptr<ServedModel>> load(std::string_view name);

  const std::vector<OfferedModel>& offered() const { return offered_; }
  // Those loaded at the moment, in the order of offered(); null: not loaded.
  std::vector<std::shared_ptr<ServedModel>> loaded() const;

  // Ends the requests of all models, whoever holds them; none is loaded from then on.
  void close();

  // Unloads what has been idle for long enough. Called from time to time.
  void unload_idle();

 private:
  using Clock = std::chrono::steady_clock;
  struct Slot {
    std::shared_ptr<ServedModel> model;
    Clock::time_point last_used{};
  };

  api::ApiResult<size_t> place_of(std::string_view name) const;
  // Under the lock.
  bool is_idle(const Slot& slot) const;
  bool make_room(uint64_t bytes, std::vector<std::shared_ptr<ServedModel>>& unloaded);

  std::vector<OfferedModel> offered_;
  ModelPoolOptions options_;
  std::function<Result<ModelParts>(size_t)> load_;
  std::function<void()> on_news_;
  std::mutex load_mutex_;  // held while a model loads; taken before the other
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  bool is_closed_ = false;
};

}  // namespace hachi::server
