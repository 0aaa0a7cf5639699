// TLS by OpenSSL on non-blocking sockets.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <sys/uio.h>

#include "core/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace hachi::net {

struct IoStep;
enum class Io;

// One connection's TLS over a socket that it does not own. Empty: no TLS. Its calls never block;
// what they return is as for Stream's.
class TlsSession {
 public:
  TlsSession() = default;
  explicit TlsSession(ssl_st* ssl) : ssl_(ssl) {}

  explicit operator bool() const { return ssl_ != nullptr; }

  // Which side of the handshake it is: a server's, or a client's for the server `host` (a name or
  // an address), whose certificate must be for it if `verify`. False: no possible host.
  void be_server();
  bool be_client(const std::string& host, bool verify);

  // Before all else that goes over the socket, which must stay open as long as this is used.
  void attach(int socket);

  Io handshake();
  IoStep read(std::span<char> into);

  // As many bytes of `parts` as one record holds (16 KiB). What did not go out must be offered
  // again.
  IoStep write(std::span<const iovec> parts);

  // Tells the peer that the end is meant; as well as can be without waiting.
  void close_notify();

  // What went wrong last: "certificate verify failed", or empty.
  std::string error() const { return error_; }

 private:
  Io state_after(int result);

  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  std::unique_ptr<ssl_st, Free> ssl_;
  std::string error_;
};

// What the sessions of a server, or of a client, share: certificates and settings. TLS 1.2 and
// above. Made once; then from any thread.
class TlsContext {
 public:
  // A server with a certificate chain and its key, both PEM files.
  static Result<TlsContext> server(const std::string& certificate_file,
                                   const std::string& key_file);

  // A client that trusts the certificates of the system and those in `ca_file` (PEM; "": none). It
  // checks the server's certificate and name unless `verify` is false.
  static Result<TlsContext> client(const std::string& ca_file, bool verify);

  // A session of a server.
  Result<TlsSession> accept() const;

  // A session with the server `host`, a name or an address.
  Result<TlsSession> connect(const std::string& host) const;

 private:
  explicit TlsContext(std::shared_ptr<ssl_ctx_st> context) : context_(std::move(context)) {}
  std::shared_ptr<ssl_ctx_st> context_;
  bool verify_ = true;
};

}  // namespace hachi::net
