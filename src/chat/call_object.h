// CallObject: {"name": …, "arguments": …} read byte by byte, so that the arguments can be passed on
// as they come. Whatever the cuts of the text, the same comes out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hachi::chat {

// Finds the end of one JSON value. It knows strings, depth and which bytes may stand where no
// string is; whether the value is JSON in full is for its reader to see.
class JsonScanner {
 public:
  enum class Step {
    kInside,  // the byte belongs to the value, and more follows
    kLast,    // the byte is the value's last
    kBehind,  // the value (a number or a word) ended before this byte
    kWrong,   // no JSON has this byte here
  };
  Step push(char byte);

 private:
  int64_t depth_ = 0;
  bool begun_ = false;
  bool in_string_ = false;
  bool escaped_ = false;
};

class CallObject {
 public:
  enum class Step {
    kInside,
    kDone,   // the byte closed the object
    kWrong,  // this is no call
  };

  // `strict`: a JSON object that may as well be an answer: a call has nothing but a name, arguments
  // that are an object, a type and an id.
  explicit CallObject(bool strict) : strict_(strict) {}

  // The bytes of the object, its "{" first. What they tell is added to `name` (whole, and before
  // any of the arguments) and to `arguments` (JSON text).
  Step push(char byte, std::string& name, std::string& arguments);

  // The name has been given out: it is a call.
  bool is_call() const { return is_call_; }
  // Its name follows, or has come.
  bool is_named() const { return is_named_; }

 private:
  enum class State { kOpen, kNext, kKey, kColon, kBeforeValue, kValue };
  enum class Member { kName, kArguments, kOther };

  Step push_key(char byte);
  Step begin_value(char byte, std::string& name, std::string& arguments);
  Step push_value(char byte, std::string& name, std::string& arguments);
  Step end_value(std::string& name, std::string& arguments);
  Step end_object(std::string& name, std::string& arguments);
  void give(std::string& name, std::string& arguments);

  bool strict_;
  State state_ = State::kOpen;
  Member member_ = Member::kOther;
  JsonScanner scanner_;
  std::string key_;        // as it is written
  std::string text_;       // of the value, where it is kept
  std::string name_;       // known and not given out
  std::string arguments_;  // the same
  bool quoted_ = false;    // the arguments are JSON text in a JSON string
  bool has_name_ = false;
  bool has_arguments_ = false;
  bool is_call_ = false;
  bool is_named_ = false;
};

}  // namespace hachi::chat
