#include "agent/mcp_channel.h"

#include <chrono>
#include <utility>

#include <boost/json/serialize.hpp>

#include "formats/json.h"
#include "formats/printable.h"

namespace hachi::agent {
namespace {

namespace json = boost::json;

constexpr std::chrono::milliseconds kGraceTime(500);   // to end by itself, and after SIGTERM
constexpr std::chrono::milliseconds kEndTime(300);     // between its last word and its end
constexpr std::chrono::milliseconds kCancelTime(200);  // to take a notification
constexpr int kMethodNotFound = -32601;
constexpr size_t kMaxErrorBytes = 2000;

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

// The sentence for an error object of JSON-RPC.
tl::unexpected<Error> server_error(std::string_view server, const json::value& error) {
  const json::object* object = error.if_object();
  const json::value* message = object == nullptr ? nullptr : object->if_contains("message");
  const std::string_view text = message != nullptr && message->is_string()
                                    ? std::string_view(message->get_string())
                                    : "an error without a message";
  return fail(Code::kInvalidArgument, "the server {} refuses: {}", server,
              text.substr(0, kMaxErrorBytes));
}

}  // namespace

McpChannel::McpChannel(Process process, std::string name)
    : process_(std::move(process)), name_(std::move(name)) {}

Result<McpChannel> McpChannel::start(const ProcessCommand& command, std::string name) {
  ProcessCommand with_input = command;
  with_input.has_input = true;
  TRY(Process process, Process::start(with_input));
  return McpChannel(std::move(process), std::move(name));
}

McpChannel::~McpChannel() { process_.stop(kGraceTime); }

Result<json::object> McpChannel::request(std::string_view method, json::object parameters,
                                         const CallContext& context) {
  const int64_t id = ++last_id_;
  num_received_ = 0;
  json::object message = {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}};
  message["params"] = std::move(parameters);
  TRY(send(message, context));
  Result<json::object> answer = wait_for_answer(id, context);
  const bool is_over =
      !answer && broken_.empty() &&
      (answer.error().code == Code::kLimit || answer.error().code == Code::kCancelled);
  if (is_over) {
    // So that the server may stop its work. If it does not listen, the next request will tell.
    (void)notify("notifications/cancelled", {{"requestId", id}},
                 within(CallContext(), kCancelTime));
  }
  return answer;
}

Result<void> McpChannel::notify(std::string_view method, json::object parameters,
                                const CallContext& context) {
  json::object message = {{"jsonrpc", "2.0"}, {"method", method}};
  message["params"] = std::move(parameters);
  return send(message, context);
}

Result<json::object> McpChannel::wait_for_answer(int64_t id, const CallContext& context) {
  while (true) {
    TRY(context.check(fmt::format("the answer of the server {}", name_)));
    TRY(const std::string_view line, read_line(context));
    if (is_blank(line)) continue;
    TRY(auto answer, take(line, id, context));
    if (answer) return *std::move(answer);
  }
}

Result<std::string_view> McpChannel::read_line(const CallContext& context) {
  while (true) {
    const size_t end = received_.find('\n', searched_);
    if (end != received_.npos) {
      const std::string_view line = std::string_view(received_).substr(taken_, end - taken_);
      taken_ = searched_ = end + 1;
      return line;
    }
    searched_ = received_.size();
    if (received_.size() - taken_ > kMaxMessageBytes) {
      return give_up(fmt::format("sent a message of more than {} bytes", kMaxMessageBytes));
    }
    TRY(context.check(fmt::format("the answer of the server {}", name_)));
    const bool has_ended = process_.status().has_value();  // before the last look at its output
    TRY(const bool any, receive());
    if (any) continue;
    if (has_ended || process_.is_output_closed()) return give_up_ended();
    process_.wait(false, context.poll_ms());
  }
}

// The result, if `line` is the answer to the request `id`. Requests of the server are replied to,
// notifications and late answers are dropped.
Result<std::optional<json::object>> McpChannel::take(std::string_view line, int64_t id,
                                                     const CallContext& context) {
  Result<json::object> parsed = formats::parse_json_object(line, "its message");
  if (!parsed) {
    return give_up(fmt::format("wrote what is no message: {}", parsed.error().message));
  }
  json::object& message = *parsed;
  const json::value* its_id = message.if_contains("id");
  if (message.contains("method")) {
    if (its_id != nullptr) {
      TRY(reply(message, context));
    }
    return std::optional<json::object>();
  }
  if (its_id == nullptr) return give_up("wrote what is no message: it has no method and no id");
  const json::value* error = message.if_contains("error");
  if (its_id->is_null() && error != nullptr) return server_error(name_, *error);
  if (*its_id != json::value(id)) return std::optional<json::object>();
  if (error != nullptr) return server_error(name_, *error);
  json::value* result = message.if_contains("result");
  if (result == nullptr || !result->is_object()) {
    return give_up("answered without an object as its result");
  }
  return std::optional(std::move(result->get_object()));
}

// We offer nothing that a server could ask for, but are alive.
Result<void> McpChannel::reply(const json::object& request, const CallContext& context) {
  json::object answer = {{"jsonrpc", "2.0"}, {"id", request.at("id")}};
  if (request.at("method") == "ping") {
    answer["result"] = json::object();
  } else {
    answer["error"] = {{"code", kMethodNotFound}, {"message", "Method not found"}};
  }
  return send(answer, context);
}

// Reads meanwhile, because the server may not read before it has written.
Result<void> McpChannel::send(const json::object& message, const CallContext& context) {
  if (!broken_.empty()) return fail(Code::kIo, "the server {} {}", name_, broken_);
  const std::string line = json::serialize(message) + "\n";
  std::string_view rest = line;
  while (true) {
    const Result<size_t> written = process_.write_some(rest);
    if (!written) return give_up_ended();
    rest.remove_prefix(*written);
    if (rest.empty()) return {};
    Result<void> in_time = context.check(fmt::format("room in the input of the server {}", name_));
    if (!in_time) {
      // Half a line cannot be taken back.
      if (rest.size() < line.size()) return give_up("did not read its input");
      return in_time;
    }
    TRY(receive());
    process_.wait(true, context.poll_ms());
  }
}

// Whether there was something.
Result<bool> McpChannel::receive() {
  if (taken_ > 0) {
    received_.erase(0, taken_);
    searched_ -= taken_;
    taken_ = 0;
  }
  const size_t got = process_.read_some(received_);
  num_received_ += got;
  if (num_received_ > kMaxReceivedBytes) {
    return give_up(fmt::format("sent more than {} bytes without answering", kMaxReceivedBytes));
  }
  return got > 0;
}

tl::unexpected<Error> McpChannel::give_up(std::string why) {
  process_.stop(std::chrono::milliseconds(0));
  broken_ = std::move(why);
  return fail(Code::kIo, "the server {} {}", name_, broken_);
}

tl::unexpected<Error> McpChannel::give_up_ended() {
  process_.wait_for_end(kEndTime);
  const std::optional<int> status = process_.status();
  return give_up(status ? fmt::format("ended with the exit status {}", *status)
                        : std::string("closed its end of the connection"));
}

}  // namespace hachi::agent
