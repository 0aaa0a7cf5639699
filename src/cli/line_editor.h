// LineEditor: lines from a person, with editing, history and several lines in one (libedit); plain
// lines if standard input is not a terminal.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/result.h"

namespace hachi::cli {

class LineEditor {
 public:
  // History is read from `history_file` and kept there; an unwritable one is no error.
  explicit LineEditor(const std::filesystem::path& history_file);
  ~LineEditor();

  enum class Event { kText, kInterrupted, kEnd };
  struct Input {
    Event event;
    std::string text;
  };

  // One input: a line; lines joined while they end with a backslash; or all between two lines of
  // """. Ctrl-C clears what was typed and gives kInterrupted; Ctrl-D on an empty line kEnd.
  Input read();

 private:
  struct Editor;

  Input read_line(bool continued);

  std::unique_ptr<Editor> editor_;  // null without a terminal
};

}  // namespace hachi::cli
