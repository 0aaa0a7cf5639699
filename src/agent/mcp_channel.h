// JSON-RPC 2.0 with a program over its standard input and output, a message a line, as the Model
// Context Protocol has it: modelcontextprotocol.io/specification/2025-06-18/basic/transports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "agent/process.h"
#include "agent/tool.h"
#include "core/result.h"

namespace hachi::agent {

inline constexpr size_t kMaxMessageBytes = 8 << 20;    // a line of the server
inline constexpr size_t kMaxReceivedBytes = 32 << 20;  // while waiting for one answer

// One request at a time. A server that dies, floods us, writes what is no message or stops reading
// is given up: it is ended, and each later request fails with the reason. One that is merely late
// is not: the request fails, and its answer is dropped when it comes.
class McpChannel {
 public:
  // `name` is how messages call the server.
  static Result<McpChannel> start(const ProcessCommand& command, std::string name);
  McpChannel(McpChannel&&) noexcept = default;
  McpChannel& operator=(McpChannel&&) = delete;
  // Gives the server a moment to end by itself.
  ~McpChannel();

  // The result, or the server's error. kLimit or kCancelled when `context` is over.
  Result<boost::json::object> request(std::string_view method, boost::json::object parameters,
                                      const CallContext& context);
  Result<void> notify(std::string_view method, boost::json::object parameters,
                      const CallContext& context);

  const std::string& name() const { return name_; }

 private:
  McpChannel(Process process, std::string name);

  Result<boost::json::object> wait_for_answer(int64_t id, const CallContext& context);
  // The view holds until the next call.
  Result<std::string_view> read_line(const CallContext& context);
  Result<std::optional<boost::json::object>> take(std::string_view line, int64_t id,
                                                  const CallContext& context);
  Result<void> reply(const boost::json::object& request, const CallContext& context);
  Result<void> send(const boost::json::object& message, const CallContext& context);
  Result<bool> receive();
  tl::unexpected<Error> give_up(std::string why);
  tl::unexpected<Error> give_up_ended();

  Process process_;
  std::string name_;
  int64_t last_id_ = 0;
  std::string received_;
  size_t taken_ = 0;           // of received_, the lines that were read
  size_t searched_ = 0;        // up to here in received_ no further line ends
  uint64_t num_received_ = 0;  // bytes since the last request
  std::string broken_;         // why it was given up
};

}  // namespace hachi::agent
