#include "net/tls.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/stream.h"

namespace hachi::net {
namespace {

constexpr size_t kRecordBytes = 16 << 10;

std::string last_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown error";
}

// A socket as OpenSSL reads and writes it. Its own kind raises SIGPIPE, which would end a process
// whose peer has left; this one never does, and never blocks whatever the socket's mode.
int socket_of(BIO* bio) { return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))); }

int bio_write(BIO* bio, const char* data, int size) {
  ssize_t count = 0;
  do {
    count = ::send(socket_of(bio), data, static_cast<size_t>(size), MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  BIO_clear_retry_flags(bio);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_write(bio);
  return static_cast<int>(count);
}

int bio_read(BIO* bio, char* data, int size) {
  ssize_t count = 0;
  do {
    count = ::recv(socket_of(bio), data, static_cast<size_t>(size), MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  BIO_clear_retry_flags(bio);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_read(bio);
  return static_cast<int>(count);
}

long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* socket_bio() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    if (made != nullptr) {
      BIO_meth_set_write(made, bio_write);
      BIO_meth_set_read(made, bio_read);
      BIO_meth_set_ctrl(made, bio_control);
    }
    return made;
  }();
  return method;
}

Result<std::shared_ptr<SSL_CTX>> make_context(const SSL_METHOD* method) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), SSL_CTX_free);
  if (!context) return fail(Code::kInternal, "TLS cannot be set up: {}", last_error());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  // Buffers go when they are empty: 34 KB less for each idle connection.
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  return context;
}

Result<TlsSession> make_session(SSL_CTX* context) {
  SSL* ssl = SSL_new(context);
  if (ssl == nullptr) return fail(Code::kInternal, "no TLS session: {}", last_error());
  return TlsSession(ssl);
}

}  // namespace

void TlsSession::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

void TlsSession::be_server() { SSL_set_accept_state(ssl_.get()); }

bool TlsSession::be_client(const std::string& host, bool verify) {
  SSL_set_connect_state(ssl_.get());
  in6_addr binary = {};
  const bool is_address = inet_pton(AF_INET, host.c_str(), &binary) == 1 ||
                          inet_pton(AF_INET6, host.c_str(), &binary) == 1;
  // RFC 6066 section 3: addresses are not sent as server names.
  if (!is_address && SSL_set_tlsext_host_name(ssl_.get(), host.c_str()) != 1) return false;
  if (!verify) return true;
  if (is_address) {
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str()) == 1;
  }
  SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set1_host(ssl_.get(), host.c_str()) == 1;
}

void TlsSession::attach(int socket) {
  BIO* bio = socket_bio() != nullptr ? BIO_new(socket_bio()) : nullptr;
  if (bio == nullptr) return;  // the handshake fails
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(socket)));
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
}

Io TlsSession::state_after(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Io::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Io::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Io::kEnd;
    case SSL_ERROR_SSL:
      error_ = last_error();
      if (const long verified = SSL_get_verify_result(ssl_.get()); verified != X509_V_OK) {
        error_ += fmt::format(" ({})", X509_verify_cert_error_string(verified));
      }
      return Io::kError;
    default:
      return Io::kError;
  }
}

Io TlsSession::handshake() {
  if (SSL_get_rbio(ssl_.get()) == nullptr) return Io::kError;
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  return result == 1 ? Io::kDone : state_after(result);
}

IoStep TlsSession::read(std::span<char> into) {
  ERR_clear_error();
  const int result =
      SSL_read(ssl_.get(), into.data(), static_cast<int>(std::min<size_t>(into.size(), INT_MAX)));
  if (result > 0) return {Io::kDone, static_cast<size_t>(result)};
  return {state_after(result)};
}

IoStep TlsSession::write(std::span<const iovec> parts) {
  // One record for all parts: a small part by itself would cost 22 bytes and a system call.
  thread_local std::array<char, kRecordBytes> record;
  size_t size = 0;
  for (const iovec& part : parts) {
    const size_t count = std::min(part.iov_len, record.size() - size);
    std::memcpy(record.data() + size, part.iov_base, count);
    size += count;
  }
  if (size == 0) return {Io::kError};
  ERR_clear_error();
  const int result = SSL_write(ssl_.get(), record.data(), static_cast<int>(size));
  if (result > 0) return {Io::kDone, static_cast<size_t>(result)};
  return {state_after(result)};
}

void TlsSession::close_notify() {
  if (!SSL_is_init_finished(ssl_.get())) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

Result<TlsContext> TlsContext::server(const std::string& certificate_file,
                                      const std::string& key_file) {
  TRY(auto context, make_context(TLS_server_method()));
  // A client that just closes is gone, as without TLS. Clients do not ignore it: an answer that
  // ends with the connection could be cut short by anyone.
  SSL_CTX_set_options(context.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate_file.c_str()) != 1) {
    return fail(Code::kInvalidArgument, "{}: not a certificate in a PEM file: {}", certificate_file,
                last_error());
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail(Code::kInvalidArgument, "{}: not the key of {} in a PEM file: {}", key_file,
                certificate_file, last_error());
  }
  return TlsContext(std::move(context));
}

Result<TlsContext> TlsContext::client(const std::string& ca_file, bool verify) {
  TRY(auto context, make_context(TLS_client_method()));
  SSL_CTX_set_default_verify_paths(context.get());
  if (!ca_file.empty() &&
      SSL_CTX_load_verify_locations(context.get(), ca_file.c_str(), nullptr) != 1) {
    return fail(Code::kInvalidArgument, "{}: no certificates in a PEM file: {}", ca_file,
                last_error());
  }
  SSL_CTX_set_verify(context.get(), verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  TlsContext made(std::move(context));
  made.verify_ = verify;
  return made;
}

Result<TlsSession> TlsContext::accept() const {
  TRY(auto session, make_session(context_.get()));
  session.be_server();
  return session;
}

Result<TlsSession> TlsContext::connect(const std::string& host) const {
  TRY(auto session, make_session(context_.get()));
  if (!session.be_client(host, verify_)) {
    return fail(Code::kInvalidArgument, "{}: TLS takes no such host name: {}", host, last_error());
  }
  return session;
}

}  // namespace hachi::net
