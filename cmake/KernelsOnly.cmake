# HACHI_KERNELS_ONLY: core and kernels with their tests, and no library that is built for the
# processor. fmt, tl-expected and GoogleTest are taken as the headers and sources of the system that
# compiles, which are looked for last, so that a cross compiler finds its own C library first.
set(HACHI_FOLDERS core kernels)
find_package(Threads REQUIRED)
add_compile_options(-idirafter /usr/include)

add_library(fmt_headers INTERFACE)
target_compile_definitions(fmt_headers INTERFACE FMT_HEADER_ONLY=1)
add_library(fmt::fmt ALIAS fmt_headers)
add_library(expected_headers INTERFACE)
add_library(tl::expected ALIAS expected_headers)

if(HACHI_TESTS)
  set(googletest /usr/src/googletest/googletest)
  add_library(gtest_main STATIC ${googletest}/src/gtest-all.cc ${googletest}/src/gtest_main.cc)
  target_include_directories(gtest_main PRIVATE ${googletest})
  target_compile_options(gtest_main PRIVATE -w -O1)
  target_link_libraries(gtest_main PUBLIC Threads::Threads)
  add_library(GTest::gtest_main ALIAS gtest_main)
endif()
