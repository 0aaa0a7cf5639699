#include "tokenizer/components_from_json.h"

#include <array>

#include "tokenizer/json_fields.h"

namespace hachi::tokenizer {
namespace {

constexpr size_t kMaxSteps = 64;  // of one chain of components; the longest known has 4

Result<std::string_view> type_of(const json::object& component, std::string_view where) {
  TRY(const auto type, string_field(component, "type", where));
  if (!type) return fail(Code::kCorrupt, "tokenizer.json: a {} has no 'type'", where);
  return *type;
}

tl::unexpected<Error> unsupported(std::string_view what, std::string_view type) {
  return fail(Code::kUnsupported, "tokenizer.json: {} '{}' is not supported", what, shown(type));
}

Result<std::string> needed_string(const json::object& component, std::string_view name,
                                  std::string_view where) {
  TRY(const auto text, string_field(component, name, where));
  if (!text) return fail(Code::kCorrupt, "tokenizer.json: a {} has no '{}'", where, name);
  return std::string(*text);
}

// The chain that `component` is: itself, or the members of a Sequence, Sequences within it
// included.
Result<std::vector<const json::object*>> chain_of(const json::object* component,
                                                  std::string_view where, const char* members) {
  std::vector<const json::object*> open, chain;
  if (component != nullptr) open.push_back(component);
  while (!open.empty()) {
    const json::object* next = open.back();
    open.pop_back();
    TRY(const std::string_view type, type_of(*next, where));
    if (type != "Sequence") {
      chain.push_back(next);
      continue;
    }
    TRY(const json::array* list, array_field(*next, members, where));
    if (list == nullptr)
      return fail(Code::kCorrupt, "tokenizer.json: a {} has no '{}'", where, members);
    if (list->size() + open.size() + chain.size() > kMaxSteps) {
      return fail(Code::kLimit, "tokenizer.json: a chain of more than {} {}s", kMaxSteps, where);
    }
    for (size_t i = list->size(); i-- > 0;) {
      if (!(*list)[i].is_object()) return wrong_type(members, where, "a list of objects");
      open.push_back((*list)[i].if_object());
    }
  }
  return chain;
}

// {"String": text} or {"Regex": pattern}; of `regex`, true if it is the latter.
Result<std::string> pattern_of(const json::object& component, std::string_view where, bool& regex) {
  TRY(const json::object* pattern, object_field(component, "pattern", where));
  if (pattern == nullptr)
    return fail(Code::kCorrupt, "tokenizer.json: a {} has no 'pattern'", where);
  TRY(const auto text, string_field(*pattern, "String", where));
  TRY(const auto expression, string_field(*pattern, "Regex", where));
  regex = !text;
  if (!text && !expression) {
    return fail(Code::kCorrupt, "tokenizer.json: the pattern of a {} is neither String nor Regex",
                where);
  }
  const std::string_view chosen = text ? *text : *expression;
  if (chosen.empty())
    return fail(Code::kCorrupt, "tokenizer.json: the pattern of a {} is empty", where);
  return std::string(chosen);
}

Result<Normalizer> read_normalizer(const json::object& root) {
  constexpr std::string_view kWhere = "normalizer";
  TRY(const json::object* component, object_field(root, kWhere, "the file"));
  TRY(const auto chain, chain_of(component, kWhere, "normalizers"));
  std::vector<Normalizer::Step> steps;
  for (const json::object* step : chain) {
    TRY(const std::string_view type, type_of(*step, kWhere));
    if (type == "NFC") {
      steps.push_back({Normalizer::Kind::kNfc, {}, {}});
    } else if (type == "Prepend") {
      TRY(std::string text, needed_string(*step, "prepend", kWhere));
      steps.push_back({Normalizer::Kind::kPrepend, {}, std::move(text)});
    } else if (type == "Replace") {
      bool regex = false;
      TRY(std::string pattern, pattern_of(*step, kWhere, regex));
      if (regex) return unsupported(kWhere, "Replace with a Regex");
      TRY(std::string content, needed_string(*step, "content", kWhere));
      steps.push_back({Normalizer::Kind::kReplace, std::move(pattern), std::move(content)});
    } else {
      return unsupported(kWhere, type);
    }
  }
  return Normalizer(std::move(steps));
}

Result<Split> read_split(const json::object& step) {
  constexpr std::string_view kWhere = "pre_tokenizer Split";
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors = {{
      {"Isolated", SplitBehavior::kIsolated},
      {"Removed", SplitBehavior::kRemoved},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous},
  }};
  Split split;
  TRY(const std::string behavior, needed_string(step, "behavior", kWhere));
  const auto known = std::find_if(kBehaviors.begin(), kBehaviors.end(),
                                  [&](const auto& pair) { return pair.first == behavior; });
  if (known == kBehaviors.end()) return unsupported("behavior of a Split", behavior);
  split.behavior = known->second;
  TRY(split.invert, bool_field(step, "invert", false, kWhere));
  bool regex = false;
  TRY(std::string pattern, pattern_of(step, kWhere, regex));
  const ScanPiece scanner = regex ? find_scanner(pattern) : nullptr;
  if (scanner != nullptr && split.behavior == SplitBehavior::kIsolated) {
    split.pattern = scanner;
  } else if (regex) {
    TRY(split.pattern, Regex::compile(pattern));
  } else {
    split.pattern = std::move(pattern);
  }
  return split;
}

Result<void> read_metaspace(const json::object& step, std::string_view where, std::string& marker,
                            SplitPrefix::When& when, bool& splits) {
  TRY(marker, needed_string(step, "replacement", where));
  if (marker.empty())
    return fail(Code::kCorrupt, "tokenizer.json: a {} has an empty 'replacement'", where);
  TRY(const bool prepends, bool_field(step, "add_prefix_space", true, where));
  TRY(const auto scheme, string_field(step, "prepend_scheme", where));
  when = prepends ? SplitPrefix::When::kAlways : SplitPrefix::When::kNever;
  if (scheme == "always") {
    when = SplitPrefix::When::kAlways;
  } else if (scheme == "first") {
    when = SplitPrefix::When::kFirst;
  } else if (scheme == "never") {
    when = SplitPrefix::When::kNever;
  } else if (scheme) {
    return unsupported("prepend_scheme", *scheme);
  }
  TRY(splits, bool_field(step, "split", true, where));
  return {};
}

// What a pre-tokenizer is made of so far.
struct PreTokenizerDraft {
  SplitPrefix prefix;
  std::vector<Split> splits;
  bool byte_level = false;
};

Result<void> add_pre_tokenizer(const json::object& step, bool first, PreTokenizerDraft& draft) {
  constexpr std::string_view kWhere = "pre_tokenizer";
  TRY(const std::string_view type, type_of(step, kWhere));
  if (draft.byte_level) {
    return fail(Code::kUnsupported,
                "tokenizer.json: pre_tokenizer '{}' after ByteLevel is not supported", shown(type));
  }
  if (type == "Split") {
    TRY(Split split, read_split(step));
    draft.splits.push_back(std::move(split));
  } else if (type == "Digits") {
    TRY(const bool single, bool_field(step, "individual_digits", false, kWhere));
    draft.splits.push_back({single ? scan_single_digits : scan_digit_runs});
  } else if (type == "ByteLevel") {
    draft.byte_level = true;
    TRY(const bool prepends, bool_field(step, "add_prefix_space", true, kWhere));
    if (prepends && !first)
      return unsupported(kWhere, "ByteLevel with add_prefix_space after another");
    if (prepends) draft.prefix = {SplitPrefix::When::kAlways, " ", ""};
    TRY(const bool regex, bool_field(step, "use_regex", true, kWhere));
    if (regex) draft.splits.push_back({find_scanner(kGpt2Split)});
  } else if (type == "Metaspace") {
    if (!first) return unsupported(kWhere, "Metaspace after another");
    std::string marker;
    bool splits = true;
    TRY(read_metaspace(step, kWhere, marker, draft.prefix.when, splits));
    draft.prefix.text = draft.prefix.replace_space = marker;
    if (splits) draft.splits.push_back({marker, SplitBehavior::kMergedWithNext});
  } else {
    return unsupported(kWhere, type);
  }
  return {};
}

Result<void> read_pre_tokenizer(const json::object& root, TokenizerParts& parts, bool& byte_level) {
  constexpr std::string_view kWhere = "pre_tokenizer";
  TRY(const json::object* component, object_field(root, kWhere, "the file"));
  TRY(const auto chain, chain_of(component, kWhere, "pretokenizers"));
  PreTokenizerDraft draft;
  for (size_t i = 0; i < chain.size(); ++i) {
    TRY(add_pre_tokenizer(*chain[i], i == 0, draft));
  }
  if (draft.splits.size() > PreTokenizer::kMaxSplits) {
    return fail(Code::kUnsupported, "tokenizer.json: a chain of more than {} splits",
                PreTokenizer::kMaxSplits);
  }
  byte_level = draft.byte_level;
  parts.pre_tokenizer = PreTokenizer(std::move(draft.prefix), std::move(draft.splits));
  return {};
}

// The ids of a SpecialToken piece of a template.
Result<void> append_template_ids(const json::object& step, std::string_view name,
                                 const Vocabulary& vocabulary, std::vector<TokenId>& out) {
  constexpr std::string_view kWhere = "post_processor TemplateProcessing";
  TRY(const json::object* known, object_field(step, "special_tokens", kWhere));
  const json::value* entry = known == nullptr ? nullptr : field(*known, name);
  if (entry == nullptr || !entry->is_object()) {
    return fail(Code::kCorrupt, "tokenizer.json: the template's token '{}' is not declared",
                shown(name));
  }
  TRY(const json::array* ids, array_field(*entry->if_object(), "ids", kWhere));
  if (ids == nullptr || out.size() + ids->size() > kMaxSteps) {
    return fail(Code::kCorrupt, "tokenizer.json: the template's token '{}' has no ids or too many",
                shown(name));
  }
  for (const json::value& id : *ids) {
    if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() >= vocabulary.size() ||
        !vocabulary.contains(static_cast<TokenId>(id.get_int64()))) {
      return fail(Code::kCorrupt, "tokenizer.json: the template's token '{}' has an unknown id",
                  shown(name));
    }
    out.push_back(static_cast<TokenId>(id.get_int64()));
  }
  return {};
}

Result<void> read_template(const json::object& step, TokenizerParts& parts) {
  constexpr std::string_view kWhere = "post_processor TemplateProcessing";
  TRY(const json::array* single, array_field(step, "single", kWhere));
  if (single == nullptr) return unsupported(kWhere, "without a list 'single'");
  bool after_text = false;
  for (const json::value& piece : *single) {
    const json::object* object = piece.if_object();
    if (object == nullptr) return wrong_type("single", kWhere, "a list of objects");
    TRY(const json::object* token, object_field(*object, "SpecialToken", kWhere));
    if (token == nullptr) {
      if (after_text) return unsupported(kWhere, "with the text twice");
      after_text = true;
      continue;
    }
    TRY(const std::string name, needed_string(*token, "id", kWhere));
    TRY(append_template_ids(step, name, parts.vocabulary,
                            after_text ? parts.suffix : parts.prefix));
  }
  if (!after_text) return unsupported(kWhere, "without the text");
  return {};
}

Result<void> read_post_processor(const json::object& root, TokenizerParts& parts) {
  constexpr std::string_view kWhere = "post_processor";
  TRY(const json::object* component, object_field(root, kWhere, "the file"));
  TRY(const auto chain, chain_of(component, kWhere, "processors"));
  bool has_template = false;
  for (const json::object* step : chain) {
    TRY(const std::string_view type, type_of(*step, kWhere));
    if (type == "ByteLevel") continue;  // changes offsets only, never ids
    if (type != "TemplateProcessing") return unsupported(kWhere, type);
    if (has_template) return unsupported(kWhere, "TemplateProcessing twice");
    has_template = true;
    TRY(read_template(*step, parts));
  }
  if (!parts.prefix.empty()) parts.bos = parts.prefix.front();
  if (!parts.suffix.empty()) parts.eos = parts.suffix.back();
  return {};
}

Result<void> add_decoder(const json::object& step, bool& fused, DecoderOptions& options) {
  using Kind = DecoderOptions::Kind;
  constexpr std::string_view kWhere = "decoder";
  TRY(const std::string_view type, type_of(step, kWhere));
  const bool first = options.kind == Kind::kSpaced;
  if (type == "Fuse" && !first) {
    fused = true;
    return {};
  }
  if (!first && options.kind != Kind::kPieces) {
    return fail(Code::kUnsupported,
                "tokenizer.json: decoder '{}' after ByteLevel or Metaspace is not supported",
                shown(type));
  }
  if (type == "ByteLevel" || type == "Metaspace") {
    if (!first) return unsupported(kWhere, fmt::format("{} after another", type));
    options.kind = type == "ByteLevel" ? Kind::kByteLevel : Kind::kMetaspace;
    if (type == "ByteLevel") return {};
    SplitPrefix::When when = SplitPrefix::When::kAlways;
    bool splits = true;
    TRY(read_metaspace(step, kWhere, options.marker, when, splits));
    options.drop_first_marker = when != SplitPrefix::When::kNever;
    return {};
  }
  options.kind = Kind::kPieces;
  if (type == "Fuse") {
    fused = true;
  } else if (type == "Replace" && !fused && !options.byte_fallback) {
    bool regex = false;
    TRY(std::string pattern, pattern_of(step, kWhere, regex));
    if (regex) return unsupported(kWhere, "Replace with a Regex");
    TRY(std::string content, needed_string(step, "content", kWhere));
    options.replacements.push_back({std::move(pattern), std::move(content)});
  } else if (type == "ByteFallback" && !fused) {
    options.byte_fallback = true;
  } else if (type == "Strip" && fused && options.strip.empty()) {
    TRY(options.strip, needed_string(step, "content", kWhere));
    const json::value* start = field(step, "start");
    const json::value* stop = field(step, "stop");
    if (options.strip.empty() || (stop != nullptr && *stop != json::value(0))) {
      return unsupported(kWhere, "Strip at the end of the text");
    }
    if (start == nullptr || !start->is_int64() || start->get_int64() < 0) {
      return wrong_type("start", "decoder Strip", "a number from 0 up");
    }
    options.strip_count = static_cast<size_t>(start->get_int64());
  } else {
    return fail(Code::kUnsupported,
                "tokenizer.json: decoder '{}' is not supported at its place in the chain",
                shown(type));
  }
  return {};
}

Result<Decoder> read_decoder(const json::object& root) {
  TRY(const json::object* component, object_field(root, "decoder", "the file"));
  TRY(const auto chain, chain_of(component, "decoder", "decoders"));
  DecoderOptions options;
  bool fused = false;
  for (const json::object* step : chain) {
    TRY(add_decoder(*step, fused, options));
  }
  return Decoder(std::move(options));
}

}  // namespace

Result<void> read_components(const json::object& root, TokenizerParts& parts, bool& byte_level) {
  TRY(parts.normalizer, read_normalizer(root));
  TRY(read_pre_tokenizer(root, parts, byte_level));
  TRY(read_post_processor(root, parts));
  TRY(parts.decoder, read_decoder(root));
  return {};
}

}  // namespace hachi::tokenizer
