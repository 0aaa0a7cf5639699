// ToolCallParser: the text of an answer as it comes, taken apart into content and tool calls. It
// goes byte by byte, so what comes out does not depend on how the text is cut.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/call_object.h"
#include "chat/tool_format.h"

namespace hachi::chat {

class ToolCallParser {
 public:
  enum class Kind {
    kContent,
    kName,       // of a call, whole: the call begins
    kArguments,  // a part of the JSON text of its arguments
  };
  struct Piece {
    Kind kind;
    int call;  // calls are numbered from 0; 0 for content
    std::string text;
  };

  explicit ToolCallParser(ToolStyle style);

  // Appends what is settled once `text` has come. White space between content and calls is left
  // out. What begins like a call and is none is content, to the last byte.
  void push(std::string_view text, std::vector<Piece>& out);
  // The end of the text: what was held back.
  void finish(std::vector<Piece>& out);

  // Calls that have begun.
  int num_calls() const { return num_calls_; }
  // After finish(): the text ended within a call, or a call was no JSON.
  bool is_broken_off() const { return is_broken_off_; }

  // The text so far says that a call comes: its trigger (tool_format.h) is whole.
  bool in_call() const;
  // The bytes at the end that may be the beginning of a mark; empty within a call.
  std::string_view held() const { return state_ == State::kText ? held_ : std::string_view(); }

 private:
  enum class State {
    kText,
    kBeforeObject,     // behind a mark or a comma: "{", or "[" for a list of calls
    kObject,           // in a call's object
    kAfterObject,      // what may join one call to the next (Llama)
    kClose,            // the mark that ends a call, or (DeepSeek) begins the next
    kSection,          // DeepSeek: between calls
    kHeader,           // DeepSeek: the type, up to the mark before the name
    kName,             // DeepSeek
    kBeforeArguments,  // DeepSeek
    kArguments,        // DeepSeek
  };

  void take(char byte, std::vector<Piece>& out);
  void take_text(char byte, std::vector<Piece>& out);
  void take_before_object(char byte, std::vector<Piece>& out);
  void take_object(char byte, std::vector<Piece>& out);
  void take_after_object(char byte, std::vector<Piece>& out);
  void take_close(char byte, std::vector<Piece>& out);
  void take_section(char byte, std::vector<Piece>& out);
  void take_header(char byte, std::vector<Piece>& out);
  void take_name(char byte, std::vector<Piece>& out);
  void take_before_arguments(char byte, std::vector<Piece>& out);
  void take_arguments(char byte, std::vector<Piece>& out);

  void open_mark(std::string_view mark);
  void begin_object(char byte, std::vector<Piece>& out);
  void begin_call(std::string_view name, std::vector<Piece>& out);
  void end_call();
  void give_up(std::vector<Piece>& out);
  void retake_held(std::vector<Piece>& out);
  void put_text(std::string_view text, std::vector<Piece>& out);
  static void put(Kind kind, int call, std::string_view text, std::vector<Piece>& out);

  ToolStyle style_;
  State state_ = State::kText;
  CallObject object_;
  JsonScanner scanner_;
  std::string held_;   // may become a mark
  std::string space_;  // of the content, which may stand before a call
  std::string raw_;    // from the mark on, while it may be no call
  std::string name_;   // DeepSeek: the type or name so far
  int num_calls_ = 0;
  bool at_start_ = true;  // nothing but white space has come
  bool by_mark_ = false;  // a mark began the call
  bool in_list_ = false;  // the calls stand in a JSON list
  bool skips_ = false;    // kClose: over whatever stands before the mark
  bool is_broken_off_ = false;
};

}  // namespace hachi::chat
