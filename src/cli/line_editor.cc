#include "cli/line_editor.h"

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstring>
#include <histedit.h>
#include <iostream>
#include <langinfo.h>

#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace hachi::cli {
namespace {

constexpr int kMaxHistory = 1000;
constexpr std::string_view kBlockMark = "\"\"\"";

// libedit reads multi-byte characters by the locale; plain "C" knows none.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

struct LineEditor::Editor {
  EditLine* line = nullptr;
  History* history = nullptr;
  std::string history_file;
  bool continued = false;

  ~Editor() {
    HistEvent event;
    if (history != nullptr) ::history(history, &event, H_SAVE, history_file.c_str());
    if (line != nullptr) el_end(line);
    if (history != nullptr) history_end(history);
  }

  static char* prompt(EditLine* line) {
    static char first[] = "> ";
    static char next[] = ". ";
    void* data = nullptr;
    el_get(line, EL_CLIENTDATA, &data);
    return static_cast<Editor*>(data)->continued ? next : first;
  }
};

LineEditor::LineEditor(const std::filesystem::path& history_file) {
  if (!is_terminal(stdin)) return;
  use_utf8();
  auto editor = std::make_unique<Editor>();
  editor->history_file = history_file.string();
  editor->history = history_init();
  editor->line = el_init("hachi", stdin, stdout, stderr);
  if (editor->line == nullptr || editor->history == nullptr) return;
  HistEvent event;
  ::history(editor->history, &event, H_SETSIZE, kMaxHistory);
  ::history(editor->history, &event, H_SETUNIQUE, 1);
  ::history(editor->history, &event, H_LOAD, editor->history_file.c_str());
  el_set(editor->line, EL_CLIENTDATA, editor.get());
  el_set(editor->line, EL_PROMPT, &Editor::prompt);
  el_set(editor->line, EL_EDITOR, "emacs");
  el_set(editor->line, EL_HIST, ::history, editor->history);
  el_source(editor->line, nullptr);
  editor_ = std::move(editor);
}

LineEditor::~LineEditor() = default;

LineEditor::Input LineEditor::read_line(bool continued) {
  if (!editor_) {
    std::string text;
    if (!std::getline(std::cin, text)) return {Event::kEnd, ""};
    return {Event::kText, text};
  }
  const InterruptGuard guard;
  editor_->continued = continued;
  int length = 0;
  const char* text = el_gets(editor_->line, &length);
  if (InterruptGuard::requested()) {
    el_reset(editor_->line);
    fmt::print("\n");
    return {Event::kInterrupted, ""};
  }
  if (text == nullptr || length <= 0) return {Event::kEnd, ""};
  std::string line(text, static_cast<size_t>(length));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  HistEvent event;
  if (!line.empty()) ::history(editor_->history, &event, H_ENTER, line.c_str());
  return {Event::kText, line};
}

LineEditor::Input LineEditor::read() {
  Input input = read_line(false);
  if (input.event != Event::kText) return input;
  if (input.text == kBlockMark) {
    input.text.clear();
    for (bool first = true;; first = false) {
      Input line = read_line(true);
      if (line.event == Event::kInterrupted) return line;
      if (line.event == Event::kEnd || line.text == kBlockMark) return input;
      if (!first) input.text += '\n';
      input.text += line.text;
    }
  }
  while (!input.text.empty() && input.text.back() == '\\') {
    input.text.back() = '\n';
    Input line = read_line(true);
    if (line.event == Event::kInterrupted) return line;
    if (line.event == Event::kEnd) break;
    input.text += line.text;
  }
  return input;
}

}  // namespace hachi::cli
