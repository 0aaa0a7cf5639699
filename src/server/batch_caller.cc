#include "server/batch_caller.h"

#include <algorithm>

namespace hachi::server {

int64_t batch_room(int64_t max_sequences) {
  return std::max<int64_t>(max_sequences - std::max<int64_t>(max_sequences / 8, 1), 1);
}

BatchCaller::BatchCaller(App& app, NewsHub& hub, boost::asio::any_io_executor executor,
                         const std::string& owner)
    : Caller(app, hub, std::move(executor)) {
  auto ring = app.keys().get();
  if (!ring || owner.empty()) return;
  const auto found = std::find_if(ring->keys().begin(), ring->keys().end(),
                                  [&](const Key& key) { return key.name == owner; });
  lost_key_ = found == ring->keys().end();
  const Key* key = lost_key_ ? nullptr : &*found;
  set_key(std::move(ring), key);
}

void BatchCaller::leave() {
  if (std::exchange(is_gone_, true)) return;
  if (const auto callback = std::exchange(on_gone_, {})) callback();
}

std::optional<api::ApiError> BatchCaller::admit() {
  if (!lost_key_) return std::nullopt;
  return api::ApiError{401, "the API key of this batch is not valid any more", "",
                       "invalid_api_key"};
}

bool BatchCaller::has_room(const ServedModel& model, int64_t num_requests) const {
  const int64_t open = model.engine.num_open();
  const auto& scheduler = app().options().models.engine.scheduler;
  // A line that is more than the room runs alone.
  const auto copies = static_cast<int64_t>(model.engine.size());
  return open == 0 || open + num_requests <= copies * batch_room(scheduler.max_sequences);
}

void BatchCaller::on_gone(std::function<void()> callback) {
  if (is_gone_ && callback) return callback();
  on_gone_ = std::move(callback);
}

// Below whatever a key's priority and a request's own make: those are less than 2^40.
int64_t BatchCaller::base_priority() const { return -(int64_t{1} << 48); }

}  // namespace hachi::server
