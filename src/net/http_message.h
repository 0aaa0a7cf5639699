// Requests and responses as values: what a handler is given and what it answers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hachi::net {

struct Header {
  std::string name;
  std::string value;
};

// Header fields in the order in which they came; a name may come several times. Names compare
// without regard to case.
class Headers {
 public:
  // The first value under `name`; a view into this object.
  std::optional<std::string_view> find(std::string_view name) const;

  // One more field, whatever there is under `name`.
  void add(std::string name, std::string value);

  // The one field under `name`; those before go.
  void set(std::string name, std::string value);

  void erase(std::string_view name);

  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  size_t size() const { return fields_.size(); }

 private:
  std::vector<Header> fields_;
};

struct HttpRequest {
  std::string method;
  std::string path;   // percent-decoded once, starts with "/" (or is "*"); any bytes but NUL, and
                      // ".." is left as it stands: routes compare it, they never open it
  std::string query;  // what follows "?", as it was sent
  Headers headers;
  std::string body;
  std::string peer;  // the client's address, without the port
};

// Content-Length, Transfer-Encoding, Connection and Date are added when it is sent; a control
// character in a value becomes a space, so that no value can begin a header of its own.
struct HttpResponse {
  int status = 200;
  Headers headers;
  std::string body;
};

// "Not Found" for 404; "Unknown" for a number without a name.
std::string_view status_text(int status);

// True for equal texts but for the case of ASCII letters.
bool equal_ignoring_case(std::string_view a, std::string_view b);

// An error in OpenAI's shape: {"error":{"message":...,"type":"invalid_request_error","param":null,
// "code":null}}; the type is "server_error" from 500 on.
HttpResponse error_response(int status, std::string_view message);

}  // namespace hachi::net
