#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

#include "core/check.h"

namespace hachi::tokenizer {
namespace {

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};

constexpr size_t kJitStackBytes = size_t{1} << 20;

}  // namespace

struct Regex::Compiled {
  std::unique_ptr<pcre2_code, Free> code;
};

struct Regex::Search::State {
  std::unique_ptr<pcre2_match_context, Free> context{pcre2_match_context_create(nullptr)};
  std::unique_ptr<pcre2_match_data, Free> data{pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_jit_stack, Free> stack{
      pcre2_jit_stack_create(kJitStackBytes / 32, kJitStackBytes, nullptr)};

  State() {
    CHECK(context != nullptr && data != nullptr);
    pcre2_set_match_limit(context.get(), kMaxSteps);
    pcre2_set_depth_limit(context.get(), kMaxSteps);
    pcre2_set_heap_limit(context.get(), kMaxHeapKiB);
    if (stack != nullptr) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

Regex::Search::Search() = default;
Regex::Search::Search(Search&&) noexcept = default;
Regex::Search& Regex::Search::operator=(Search&&) noexcept = default;
Regex::Search::~Search() = default;

Result<Regex> Regex::compile(std::string_view pattern) {
  const std::unique_ptr<pcre2_compile_context, Free> context(pcre2_compile_context_create(nullptr));
  CHECK(context != nullptr);
  pcre2_set_max_pattern_length(context.get(), kMaxPatternBytes);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                       PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error,
                                       &offset, context.get());
  if (compiled == nullptr) {
    char message[256] = {};
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof(message));
    return fail(Code::kUnsupported,
                "tokenizer: split pattern is not one that PCRE2 reads ({}, at byte {})", message,
                offset);
  }
  auto code = std::make_shared<Compiled>();
  code->code.reset(compiled);
  // Where there is no JIT the interpreter runs the pattern, under the same limits.
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
  Regex regex;
  regex.code_ = std::move(code);
  return regex;
}

Regex::Found Regex::find(std::string_view text, size_t from, Search& search) const {
  const Found nothing = {text.size(), text.size(), false};
  if (!search.state_) search.state_ = std::make_unique<Search::State>();
  const int count =
      pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                  PCRE2_NO_UTF_CHECK, search.state_->data.get(), search.state_->context.get());
  if (count < 0) return nothing;
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(search.state_->data.get());
  // \K can move the start of a match behind its end or before `from`.
  if (ends[0] < from || ends[1] < ends[0]) return nothing;
  return {ends[0], ends[1], true};
}

}  // namespace hachi::tokenizer
