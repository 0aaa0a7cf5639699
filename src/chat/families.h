// What differs between model families beside the template: the marks of thinking in the output,
// and a template for models that bring none.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace hachi::chat {

inline constexpr std::string_view kThinkBegin = "<think>";
inline constexpr std::string_view kThinkEnd = "</think>";

// Splits a model's output, as it comes, into its thinking and its answer. Thinking is what stands
// between "<think>" at the very start of the output (white space before it aside) and the next
// "</think>"; a prompt may have written the first mark already. The marks themselves, the white
// space after each and that before the first are dropped. Later marks are part of the answer.
class ThinkingSplitter {
 public:
  enum class Kind { kThinking, kAnswer };
  struct Piece {
    Kind kind;
    std::string text;
  };

  // `prompt` is what the model goes on from.
  explicit ThinkingSplitter(std::string_view prompt);

  // The pieces that are settled once `chunk` has come. What could still be the start of a mark is
  // held back.
  std::vector<Piece> push(std::string_view chunk);

  // The end of the output: what was held back.
  std::vector<Piece> finish();

  bool is_thinking() const { return state_ == State::kThinking; }
  // It is open whether thinking begins.
  bool is_at_start() const { return state_ == State::kStart; }
  // What was held back: while thinking, what may be the beginning of the mark that ends it.
  std::string_view held() const { return held_; }

 private:
  enum class State { kStart, kThinking, kAnswer };

  void take(std::vector<Piece>& out, bool at_end);
  bool take_start(bool at_end);
  bool take_thinking(std::vector<Piece>& out, bool at_end);

  State state_ = State::kStart;
  bool skips_space_ = false;  // right after a mark
  std::string held_;
};

// What to add to a prompt so that the model takes its thinking for done: an empty block of
// thoughts, of which the prompt may have opened the first mark already. Nothing if it has closed
// it.
std::string_view no_thinking_after(std::string_view prompt);

// ChatML, which Qwen and its kin speak: the template for a model that has "<|im_start|>" in its
// vocabulary and brings none of its own.
std::string_view chatml_template();

// The source of the template to use: `own`, the model's, if it is not empty, else ChatML if the
// vocabulary has its marks. Fails otherwise, saying what the user can do.
Result<std::string> template_source(std::string_view own, bool has_im_start);

}  // namespace hachi::chat
