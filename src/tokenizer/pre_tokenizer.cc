#include "tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "core/check.h"
#include "core/utf8.h"

namespace hachi::tokenizer {

std::string_view PreTokenizer::prepare(std::string_view text, bool at_start,
                                       std::string& buffer) const {
  const bool replaces = !prefix_.replace_space.empty();
  const bool may_prepend = prefix_.when == SplitPrefix::When::kAlways ||
                           (prefix_.when == SplitPrefix::When::kFirst && at_start);
  if (!replaces && !may_prepend) return text;
  const bool begins_with_it =
      text.starts_with(prefix_.text) ||
      (replaces && prefix_.text == prefix_.replace_space && text.starts_with(' '));
  if (!replaces && begins_with_it) return text;
  buffer.clear();
  if (may_prepend && !begins_with_it) buffer = prefix_.text;
  if (!replaces) return buffer += text;
  for (size_t at = 0; at < text.size();) {
    const size_t space = std::min(text.find(' ', at), text.size());
    buffer.append(text, at, space - at);
    if (space < text.size()) buffer += prefix_.replace_space;
    at = space + 1;
  }
  return buffer;
}

PreTokenizer::Pieces::Pieces(const PreTokenizer& pre_tokenizer, std::string_view text)
    : splits_(pre_tokenizer.splits_), text_(text), levels_(splits_.size()) {
  CHECK_LE(splits_.size(), kMaxSplits);
  if (!levels_.empty()) start(levels_[0], text);
}

std::optional<std::string_view> PreTokenizer::Pieces::next() {
  if (splits_.empty()) {
    if (given_ || text_.empty()) return std::nullopt;
    given_ = true;
    return text_;
  }
  size_t depth = splits_.size() - 1;
  while (true) {
    const std::optional<Part> part = next_joined(splits_[depth], levels_[depth]);
    if (part && part->begin == part->end) continue;
    if (!part) {
      if (depth == 0) return std::nullopt;
      --depth;
      continue;
    }
    const auto piece = levels_[depth].text.substr(part->begin, part->end - part->begin);
    if (depth + 1 == splits_.size()) return piece;
    start(levels_[++depth], piece);
  }
}

void PreTokenizer::Pieces::start(Level& level, std::string_view text) const {
  level.text = text;
  level.at = 0;
  level.found.reset();
  level.last_match_end.reset();
  level.finished = false;
  level.ahead.reset();
}

// Matches, and the gaps between them, before the behavior joins or drops any. A match may be empty.
std::optional<PreTokenizer::Pieces::Part> PreTokenizer::Pieces::next_part(const Split& split,
                                                                          Level& level) const {
  if (const ScanPiece* scan = std::get_if<ScanPiece>(&split.pattern)) {
    if (level.at == level.text.size()) return std::nullopt;
    const size_t begin = level.at;
    level.at = (*scan)(level.text, begin);
    return Part{begin, level.at, true};
  }
  if (level.at == level.text.size() && !level.found) return std::nullopt;
  Part part = next_pattern_part(split, level);
  part.match = part.match != split.invert;
  return part;
}

// One match, which may be empty, or the gap before it.
PreTokenizer::Pieces::Part PreTokenizer::Pieces::next_pattern_part(const Split& split,
                                                                   Level& level) const {
  const std::string_view text = level.text;
  size_t from = level.at;
  while (!level.found && !level.finished) {
    Regex::Found found = {text.size(), text.size(), false};
    if (const Regex* regex = std::get_if<Regex>(&split.pattern)) {
      if (from <= text.size()) found = regex->find(text, from, level.search);
    } else {
      const std::string& wanted = std::get<std::string>(split.pattern);
      const size_t begin = text.find(wanted, from);
      if (begin != std::string_view::npos) found = {begin, begin + wanted.size(), true};
    }
    if (!found.matched) {
      level.finished = true;
    } else if (found.begin == found.end && level.last_match_end == found.end) {
      // An empty match right behind the last match does not count; the search goes on behind it.
      from = from < text.size() ? from + decode_utf8(text.substr(from)).length : from + 1;
    } else {
      level.found = found;
    }
  }
  if (!level.found) {
    const Part rest = {level.at, text.size(), false};
    level.at = text.size();
    return rest;
  }
  if (level.at < level.found->begin) {
    const Part gap = {level.at, level.found->begin, false};
    level.at = level.found->begin;
    return gap;
  }
  const Part match = {level.found->begin, level.found->end, true};
  level.at = match.end;
  level.last_match_end = match.end;
  level.found.reset();
  return match;
}

std::optional<PreTokenizer::Pieces::Part> PreTokenizer::Pieces::next_joined(const Split& split,
                                                                            Level& level) const {
  const auto read = [&] {
    if (!level.ahead) return next_part(split, level);
    return std::exchange(level.ahead, std::nullopt);
  };
  std::optional<Part> part = read();
  if (split.behavior == SplitBehavior::kIsolated || !part) return part;
  if (split.behavior == SplitBehavior::kRemoved) {
    while (part && part->match) part = read();
    return part;
  }
  level.ahead = next_part(split, level);
  if (split.behavior == SplitBehavior::kContiguous) {
    while (level.ahead && level.ahead->match == part->match) {
      part->end = level.ahead->end;
      level.ahead = next_part(split, level);
    }
    return part;
  }
  // A match joins its neighbour on one side; of two matches side by side each stays alone there.
  const bool joins = level.ahead && (split.behavior == SplitBehavior::kMergedWithPrevious
                                         ? !part->match && level.ahead->match
                                         : part->match && !level.ahead->match);
  if (joins) {
    part->end = level.ahead->end;
    level.ahead.reset();
  }
  return part;
}

}  // namespace hachi::tokenizer
