// Typed, checked access to the fields of a request. A parse function asks a FieldReader for each
// field that it knows and calls finish() at the end, which fails on whatever nobody asked for.
//
// The first failure sticks: later reads give nothing, so that a parse function reads as a table of
// its fields and looks at the error once. null is as if the field were not there, because clients
// send it for what they leave unset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "api/error.h"

namespace hachi::api {

namespace json = boost::json;

// Both ends are allowed.
template <class T>
struct Range {
  T min;
  T max;
};

inline constexpr Range<int64_t> kAnyInt64 = {std::numeric_limits<int64_t>::min(),
                                             std::numeric_limits<int64_t>::max()};
inline constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();

inline constexpr size_t kMaxTextBytes = 16 << 20;  // of one string; the server's body limit is less
inline constexpr size_t kMaxNameBytes = 512;       // of a model's name, a user, an id, a key
inline constexpr size_t kMaxListLength = 1 << 20;  // unless said otherwise

// Where the first failure of a request is kept.
using FirstError = std::optional<ApiError>;

class FieldReader {
 public:
  // The fields of `object`, which stands at `path` of the request; "" is the request itself. Both
  // `object` and `error` outlive the reader.
  FieldReader(const json::object& object, std::string path, FirstError& error);

  // A number with no fraction, however it is written: 2, 2.0 and 2e0 are 2. Strings and booleans
  // are not numbers.
  std::optional<int64_t> integer(std::string_view name, Range<int64_t> range);
  std::optional<double> number(std::string_view name, Range<double> range);
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::string> text(std::string_view name, size_t max_bytes = kMaxNameBytes);
  // One of a few words; a view of the one in `words`.
  std::optional<std::string_view> word(std::string_view name,
                                       std::initializer_list<std::string_view> words);
  // Null if it is not there or the request has failed.
  const json::object* object(std::string_view name);
  const json::array* list(std::string_view name, size_t max_length = kMaxListLength);
  const json::value* any(std::string_view name);

  // Fails unless the field is there. Call it before the field is read.
  void require(std::string_view name);

  // A field of the API that this release does not do: only values that ask for nothing may stand
  // there, which are null, false, an empty list or object, and `words`.
  void unsupported(std::string_view name, std::initializer_list<std::string_view> words = {});

  // Takes a field that has no effect here, whatever it is.
  void ignore(std::string_view name) { (void)any(name); }

  // Fails on the first field that nobody asked for.
  void finish();

  // True if this reader, or another with the same FirstError, has failed.
  bool failed() const { return error_.has_value(); }

  template <class... Args>
  void fail(std::string_view name, fmt::format_string<Args...> format, Args&&... args) {
    if (!failed()) fail_with(name, fmt::format(format, std::forward<Args>(args)...));
  }

  // "stop" of "messages[3]" is "messages[3].stop".
  std::string path_of(std::string_view name) const;
  FirstError& error() { return error_; }

 private:
  void fail_with(std::string_view name, std::string message);
  void fail_type(std::string_view name, std::string_view wanted, const json::value& got);

  const json::object& object_;
  std::string path_;
  FirstError& error_;
  std::vector<bool> asked_;  // by the position in object_
};

// The number of `value` if it has no fraction and lies within [-2^63, 2^63).
std::optional<int64_t> as_integer(const json::value& value);

// "stop[2]"
std::string element_path(std::string_view list_path, size_t index);

// An element of a list as an object's fields, or as a text; both fail with the element's path.
std::optional<FieldReader> read_element(const json::value& value, std::string_view list_path,
                                        size_t index, FirstError& error);
std::optional<std::string> text_element(const json::value& value, std::string_view list_path,
                                        size_t index, size_t max_bytes, FirstError& error);

// What a value is, for "got …": 3, 'text', null, a list, an object; long texts are cut.
std::string shown(const json::value& value);

// A list of token ids, 0 to 2^31 - 1; what stands at which index is in the message.
std::vector<int32_t> token_elements(const json::array& list, std::string_view list_path,
                                    FirstError& error);

// `text` as a request: one JSON object within limits. Empty if that failed.
json::object parse_request(std::string_view text, FirstError& error);

// What a parse function returns: `value`, unless something failed.
template <class T>
ApiResult<T> value_or_error(T value, FirstError& error) {
  if (error) return tl::unexpected<ApiError>(std::move(*error));
  return ApiResult<T>(std::move(value));
}

}  // namespace hachi::api
