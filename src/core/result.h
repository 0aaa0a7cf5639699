// Errors as values. Whatever a user, a file or a peer can get wrong comes back as a Result whose
// message says what, where and what to do; a broken promise of our own code is a CHECK (check.h).
#pragma once

#include <string>
#include <utility>

#include <fmt/format.h>
#include <tl/expected.hpp>

namespace hachi::inline core {

enum class Code {
  kInvalidArgument,  // a value that the user or a peer gave is wrong
  kNotFound,         // a file, a model or a name that is not there
  kCorrupt,          // a file that is not what it says it is
  kUnsupported,      // well formed, but not something that Hachi can do
  kContextTooLong,   // more tokens than the context holds
  kLimit,            // an explicit limit was reached (steps, depth, output, count)
  kIo,               // the system refused: disk full, no permission, broken pipe
  kCancelled,        // stopped on request
  kInternal,         // our own mistake, reported and survived
};

struct Error {
  Code code;
  std::string message;
};

// tl::expected, but one that the compiler asks about when it is dropped.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

// return fail(Code::kCorrupt, "{}: block count {} is not above 0", path, n);
template <class... Args>
tl::unexpected<Error> fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace hachi::inline core

#define HACHI_CONCAT_INNER(a, b) a##b
#define HACHI_CONCAT(a, b) HACHI_CONCAT_INNER(a, b)
#define HACHI_TRY_DO(result, expression) \
  auto result = (expression);            \
  if (!result) return tl::unexpected<::hachi::Error>(std::move(result).error())
#define HACHI_TRY_1(expression) HACHI_TRY_DO(HACHI_CONCAT(try_result_, __LINE__), expression)
#define HACHI_TRY_2(declaration, expression)                     \
  HACHI_TRY_DO(HACHI_CONCAT(try_result_, __LINE__), expression); \
  declaration = *std::move(HACHI_CONCAT(try_result_, __LINE__))
#define HACHI_TRY_PICK(a, b, name, ...) name

// TRY(f()) returns f's error to the caller; TRY(auto x, f()) also declares x as f's value.
// It is several statements: braces around it after an if or a for.
#define TRY(...) HACHI_TRY_PICK(__VA_ARGS__, HACHI_TRY_2, HACHI_TRY_1, )(__VA_ARGS__)
