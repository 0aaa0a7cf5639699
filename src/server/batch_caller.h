// BatchCaller: one line of a batch, which asks as a request would, behind all that do.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "server/caller.h"

namespace hachi::server {

// Of an engine that runs `max_sequences` at once, how many may be busy before lines wait: the rest
// is for those who come, so that nobody has to wait for the end of a line's answer.
int64_t batch_room(int64_t max_sequences);

// A batch takes what nobody else wants, and so it does not count against the limits of its key.
class BatchCaller final : public Caller {
 public:
  // `owner` is the name of the key that made the batch; empty: none did.
  BatchCaller(App& app, NewsHub& hub, boost::asio::any_io_executor executor,
              const std::string& owner);

  // Its answer is not wanted any more.
  void leave();

  std::optional<api::ApiError> admit() override;
  void settle(int64_t) override {}
  bool has_room(const ServedModel& model, int64_t num_requests) const override;
  bool takes_streams() const override { return false; }
  std::chrono::seconds timeout() const override { return std::chrono::seconds(0); }
  bool is_gone() const override { return is_gone_; }
  void on_gone(std::function<void()> callback) override;

 private:
  std::string_view user_name() const override { return "batch"; }
  int64_t base_priority() const override;

  bool lost_key_ = false;
  bool is_gone_ = false;
  std::function<void()> on_gone_;
};

}  // namespace hachi::server
