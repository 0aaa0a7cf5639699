// CHECK: a promise that our own code makes to itself. It ends the process with the values, the file
// and the line, and no input may ever reach it; what input can get wrong is a Result (result.h).
#pragma once

#include <string_view>

#include <fmt/format.h>

namespace hachi::inline core {

[[noreturn]] void check_failed(const char* file, int line, std::string_view what);

template <class A, class B>
[[noreturn]] void check_op_failed(const char* file, int line, const char* what, const A& a,
                                  const B& b) {
  check_failed(file, line, fmt::format("{} ({} against {})", what, a, b));
}

}  // namespace hachi::inline core

#define CHECK(condition) \
  ((condition) ? (void)0 : ::hachi::core::check_failed(__FILE__, __LINE__, #condition))
#define HACHI_CHECK_OP(a, op, b)                                                               \
  do {                                                                                         \
    const auto& check_a = (a);                                                                 \
    const auto& check_b = (b);                                                                 \
    if (!(check_a op check_b))                                                                 \
      ::hachi::core::check_op_failed(__FILE__, __LINE__, #a " " #op " " #b, check_a, check_b); \
  } while (0)
#define CHECK_EQ(a, b) HACHI_CHECK_OP(a, ==, b)
#define CHECK_NE(a, b) HACHI_CHECK_OP(a, !=, b)
#define CHECK_LT(a, b) HACHI_CHECK_OP(a, <, b)
#define CHECK_LE(a, b) HACHI_CHECK_OP(a, <=, b)
#define CHECK_GT(a, b) HACHI_CHECK_OP(a, >, b)
#define CHECK_GE(a, b) HACHI_CHECK_OP(a, >=, b)
