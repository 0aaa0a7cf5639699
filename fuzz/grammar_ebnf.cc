// A grammar and a walk through it: see grammar_walk.h.
#include <cstddef>
#include <cstdint>
#include <string>

#include "grammar_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hachi::grammar::fuzz_walk(
      hachi::grammar::Spec::ebnf(std::string(reinterpret_cast<const char*>(data), size)));
  return 0;
}
