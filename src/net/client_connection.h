// One connection of a client: requests out, answers in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/body_decoder.h"
#include "net/head_parser.h"
#include "net/http_client.h"
#include "net/stream.h"

namespace hachi::net {

// One request at a time. After an error it is closed and no call may follow. Held by shared_ptr, so
// that a call that waits may outlive the client.
class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
 public:
  // `peer` names the server in messages.
  ClientConnection(std::shared_ptr<Stream> stream, const ClientOptions& options, std::string peer)
      : stream_(std::move(stream)), options_(options), peer_(std::move(peer)) {}

  // True if the last answer was read to its end and the server keeps the connection.
  bool is_reusable();

  // Sends the request and reads the head of the answer. `deadline` is for all of the answer.
  awaitable<Result<HttpResponse>> begin(std::string head, std::string body, bool head_only,
                                        Stream::Time deadline);

  // The next bytes of the body; empty at its end.
  awaitable<Result<std::string>> read();

  // Waits end with kCancelled.
  void close();

 private:
  enum class More { kBytes, kEnd, kFailed };

  awaitable<More> read_more();
  awaitable<Result<ResponseHead>> read_head();
  Result<void> choose_framing(const ResponseHead& head, bool head_only);
  void set_deadline();
  tl::unexpected<Error> broken(std::string_view what);
  tl::unexpected<Error> refuse(Code code, std::string_view what);

  std::shared_ptr<Stream> stream_;
  const ClientOptions options_;
  const std::string peer_;
  std::string in_;                   // bytes that came and are not read yet
  std::optional<BodyDecoder> body_;  // of the answer at hand, until its end
  bool ends_with_connection_ = false;
  bool keep_alive_ = false;
  bool cancelled_ = false;
  Stream::Time total_deadline_ = Stream::Time::max();
};

}  // namespace hachi::net
