#include "chat/call_object.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

namespace hachi::chat {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
// What may stand in JSON outside of its strings: punctuation, numbers, true, false and null.
constexpr std::string_view kPlain = " \t\r\n{}[]:,\"0123456789+-.eEtrufalsn";

bool is_space(char byte) { return kSpace.find(byte) != std::string_view::npos; }

// The string behind `text`, a JSON string; false if it is none.
bool unquote(const std::string& text, std::string& out) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  if (error || !value.is_string()) return false;
  out.assign(value.get_string().data(), value.get_string().size());
  return true;
}

}  // namespace

JsonScanner::Step JsonScanner::push(char byte) {
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (byte == '\\') {
      escaped_ = true;
    } else if (byte == '"') {
      in_string_ = false;
      if (depth_ == 0) return Step::kLast;
    }
    return Step::kInside;
  }
  if (kPlain.find(byte) == std::string_view::npos) return Step::kWrong;
  const bool is_closing = byte == '}' || byte == ']';
  if (depth_ == 0 && begun_ && (is_space(byte) || is_closing || byte == ',')) return Step::kBehind;
  if (depth_ == 0 && (is_closing || byte == ',' || byte == ':')) return Step::kWrong;
  begun_ = true;
  if (byte == '"') in_string_ = true;
  if (byte == '{' || byte == '[') ++depth_;
  if (is_closing && --depth_ == 0) return Step::kLast;
  return Step::kInside;
}

CallObject::Step CallObject::push(char byte, std::string& name, std::string& arguments) {
  if (state_ == State::kKey) return push_key(byte);
  if (state_ == State::kValue) return push_value(byte, name, arguments);
  if (is_space(byte)) return Step::kInside;
  switch (state_) {
    case State::kOpen:
      state_ = State::kNext;
      return byte == '{' ? Step::kInside : Step::kWrong;
    case State::kNext:
      if (byte == '}') return end_object(name, arguments);
      if (byte == ',') return Step::kInside;
      if (byte != '"') return Step::kWrong;
      state_ = State::kKey;
      key_.clear();
      return Step::kInside;
    case State::kColon:
      if (byte != ':') return Step::kWrong;
      state_ = State::kBeforeValue;
      is_named_ = is_named_ || member_ == Member::kName;
      return Step::kInside;
    default:
      return begin_value(byte, name, arguments);
  }
}

CallObject::Step CallObject::push_key(char byte) {
  if (byte != '"') {
    key_ += byte;
    return Step::kInside;
  }
  state_ = State::kColon;
  if (key_ == "name") {
    member_ = Member::kName;
    return has_name_ ? Step::kWrong : Step::kInside;
  }
  if (key_ == "arguments" || key_ == "parameters") {
    member_ = Member::kArguments;
    return has_arguments_ ? Step::kWrong : Step::kInside;
  }
  member_ = Member::kOther;
  return strict_ && key_ != "type" && key_ != "id" ? Step::kWrong : Step::kInside;
}

CallObject::Step CallObject::begin_value(char byte, std::string& name, std::string& arguments) {
  state_ = State::kValue;
  scanner_ = {};
  text_.clear();
  if (member_ == Member::kName && byte != '"') return Step::kWrong;
  if (member_ == Member::kArguments) {
    if (strict_ && byte != '{') return Step::kWrong;
    has_arguments_ = true;
    quoted_ = byte == '"';
    give(name, arguments);
  }
  return push_value(byte, name, arguments);
}

CallObject::Step CallObject::push_value(char byte, std::string& name, std::string& arguments) {
  const JsonScanner::Step step = scanner_.push(byte);
  if (step == JsonScanner::Step::kWrong) return Step::kWrong;
  if (step != JsonScanner::Step::kBehind) {
    if (member_ == Member::kName || (member_ == Member::kArguments && quoted_)) {
      text_ += byte;
    } else if (member_ == Member::kArguments) {
      (is_call_ ? arguments : arguments_) += byte;
    }
    return step == JsonScanner::Step::kLast ? end_value(name, arguments) : Step::kInside;
  }
  const Step ended = end_value(name, arguments);
  return ended == Step::kInside ? push(byte, name, arguments) : ended;
}

CallObject::Step CallObject::end_value(std::string& name, std::string& arguments) {
  state_ = State::kNext;
  if (member_ == Member::kName) {
    if (!unquote(text_, name_) || name_.empty()) return Step::kWrong;
    has_name_ = true;
    if (!strict_ || has_arguments_) give(name, arguments);
  }
  if (member_ == Member::kArguments && quoted_) {
    std::string inner;
    if (!unquote(text_, inner)) return Step::kWrong;
    (is_call_ ? arguments : arguments_) += inner;
  }
  return Step::kInside;
}

CallObject::Step CallObject::end_object(std::string& name, std::string& arguments) {
  if (!has_name_ || (strict_ && !has_arguments_)) return Step::kWrong;
  give(name, arguments);
  if (!has_arguments_) arguments += "{}";
  return Step::kDone;
}

// Once the name is known it goes out, and what was kept for it.
void CallObject::give(std::string& name, std::string& arguments) {
  if (is_call_ || !has_name_) return;
  is_call_ = true;
  name += name_;
  arguments += arguments_;
}

}  // namespace hachi::chat
