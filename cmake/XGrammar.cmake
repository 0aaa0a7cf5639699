# XGrammar's C++ core as the static library xgrammar, from its source distribution on PyPI.
# HACHI_XGRAMMAR_SOURCE may name the unpacked distribution, for a machine without a network; else
# pip gets it once into build/third_party, where all presets find it.
set(xgrammar_version 0.2.8)
set(xgrammar_sha256 8305646fd2b319d6c3003f51a1665e54cbbe9cba1fb636bc41d0b46434ccbb80)
set(HACHI_XGRAMMAR_SOURCE "" CACHE PATH
  "The unpacked source distribution of XGrammar ${xgrammar_version}; empty: pip gets it")

# Sets `folder` to the sources, which it gets if they are not there.
function(get_xgrammar folder)
  if(HACHI_XGRAMMAR_SOURCE)
    set(${folder} ${HACHI_XGRAMMAR_SOURCE} PARENT_SCOPE)
    return()
  endif()
  set(third_party ${CMAKE_SOURCE_DIR}/build/third_party)
  set(sources ${third_party}/xgrammar-${xgrammar_version})
  set(${folder} ${sources} PARENT_SCOPE)
  file(LOCK ${third_party}/.lock GUARD FUNCTION)  # two presets may be configured at once
  if(EXISTS ${sources}/.complete)
    return()
  endif()
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  message(STATUS "Getting XGrammar ${xgrammar_version}")
  set(archive ${third_party}/xgrammar-${xgrammar_version}.tar.gz)
  execute_process(
    COMMAND ${Python3_EXECUTABLE} -m pip download --quiet --disable-pip-version-check --no-input
      --no-deps --no-binary xgrammar --dest ${third_party} xgrammar==${xgrammar_version}
    OUTPUT_VARIABLE problem ERROR_VARIABLE problem RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "pip could not get XGrammar: ${problem}\n"
      "Without a network, unpack xgrammar-${xgrammar_version}.tar.gz from PyPI and configure with "
      "-DHACHI_XGRAMMAR_SOURCE=ITS_FOLDER.")
  endif()
  file(SHA256 ${archive} found)
  if(NOT found STREQUAL xgrammar_sha256)
    message(FATAL_ERROR "${archive} has the SHA-256 ${found}, not ${xgrammar_sha256}: delete it "
      "and configure again.")
  endif()
  file(REMOVE_RECURSE ${sources})
  file(ARCHIVE_EXTRACT INPUT ${archive} DESTINATION ${third_party}
    PATTERNS */cpp/* */include/* */3rdparty/picojson/* */3rdparty/dlpack/include/* */LICENSE
      */NOTICE)
  file(TOUCH ${sources}/.complete)
endfunction()

get_xgrammar(xgrammar_folder)
file(GLOB_RECURSE xgrammar_sources ${xgrammar_folder}/cpp/*.cc)
list(FILTER xgrammar_sources EXCLUDE REGEX "/cpp/(tvm_ffi/.*|testing)\\.cc$")
if(NOT xgrammar_sources)
  message(FATAL_ERROR "There are no sources of XGrammar in ${xgrammar_folder}.")
endif()
add_library(xgrammar STATIC ${xgrammar_sources})
target_include_directories(xgrammar SYSTEM PUBLIC ${xgrammar_folder}/include
  ${xgrammar_folder}/3rdparty/dlpack/include ${xgrammar_folder}/3rdparty/picojson)
target_compile_definitions(xgrammar PUBLIC XGRAMMAR_ENABLE_CPPTRACE=0
  XGRAMMAR_ENABLE_INTERNAL_CHECK=0)
target_compile_options(xgrammar PRIVATE -w)
target_link_libraries(xgrammar PUBLIC Threads::Threads)
set_target_properties(xgrammar PROPERTIES CXX_STANDARD 17 CXX_CLANG_TIDY "")
