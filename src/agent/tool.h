// What a model can call: tools, the box that holds them, and the limits of one call.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "core/result.h"

namespace hachi::agent {

using Clock = std::chrono::steady_clock;

// When a call has to be over. Whoever waits looks at it at least every 50 ms.
struct CallContext {
  Clock::time_point deadline = Clock::time_point::max();
  const std::atomic<bool>* cancelled = nullptr;  // set by any thread; null: never

  bool is_cancelled() const { return cancelled != nullptr && cancelled->load(); }
  bool is_late() const { return Clock::now() >= deadline; }
  // kCancelled or kLimit, with `what` ("the server's answer") as what did not come, if it is over.
  Result<void> check(std::string_view what) const;
  // Milliseconds that poll() may wait before it is time to look again: 1 to 50.
  int poll_ms() const;
};

// The same, over at the earlier of its deadline and `time` from now.
CallContext within(const CallContext& context, std::chrono::milliseconds time);

// One thing that a model can do. Used by one thread at a time.
class Tool {
 public:
  // `parameters` is a JSON schema of an object.
  Tool(std::string name, std::string description, boost::json::object parameters);
  virtual ~Tool() = default;
  Tool(const Tool&) = delete;
  Tool& operator=(const Tool&) = delete;

  const std::string& name() const { return name_; }
  const std::string& description() const { return description_; }
  const boost::json::object& parameters() const { return parameters_; }

  // The answer for the model. An error is one too: its message says what the model should do
  // otherwise. Takes any arguments, and is back soon after `context` is over.
  virtual Result<std::string> call(const boost::json::object& arguments,
                                   const CallContext& context) = 0;

 private:
  std::string name_;
  std::string description_;
  boost::json::object parameters_;
};

// Tools by their names. Owns them.
class Toolbox {
 public:
  // Fails if the name is not 1 to 64 of a-z, A-Z, 0-9, _ and - (OpenAI's rule) or is there already.
  Result<void> add(std::unique_ptr<Tool> tool);
  Tool* find(std::string_view name) const;  // null if there is none
  std::string names() const;                // joined by ", "

  // [{"type": "function", "function": {"name", "description", "parameters"}}, …], in their order
  boost::json::array definitions() const;

 private:
  std::vector<std::unique_ptr<Tool>> tools_;
};

// Whether `arguments` have each member that `schema` requires, each of its type where the schema
// names one, and no other where the schema says so. What is deeper is the tool's to check.
Result<void> check_arguments(const boost::json::object& schema,
                             const boost::json::object& arguments);

// Members of arguments, for tools that were called past check_arguments.
Result<std::string_view> text_argument(const boost::json::object& arguments, std::string_view name);
// Empty if it is not there or null. Takes 3.0 for 3.
Result<std::optional<int64_t>> integer_argument(const boost::json::object& arguments,
                                                std::string_view name);

// {"type": "object", "properties": …, "required": …, "additionalProperties": false}
boost::json::object object_schema(boost::json::object properties,
                                  const std::vector<std::string_view>& required);

}  // namespace hachi::agent
