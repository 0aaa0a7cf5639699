// StopText: ends an answer before any of some texts, however the tokens cut them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hachi::output {

class StopText {
 public:
  explicit StopText(std::vector<std::string> stops);

  // The part of the answer so far that can no longer become a stop text, without what was returned
  // before. Once found() is true, nothing more comes.
  std::string push(std::string_view text);
  std::string finish();  // what was held back, when the answer has ended

  bool found() const { return found_; }
  // The text that was found; empty if none was.
  std::string_view text() const { return text_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool found_ = false;
  std::string text_;
};

}  // namespace hachi::output
