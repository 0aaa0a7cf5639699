// How models write their tool calls. All forms are text: in DeepSeek-R1-0528-Qwen3-8B the marks are
// ordinary text of several tokens each, in Mistral's and Llama's models some are special tokens.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>

#include "core/result.h"

namespace hachi::chat {

enum class ToolStyle {
  kHermes,  // <tool_call>{"name": …, "arguments": …}</tool_call>: Qwen, Hermes, SmolLM2; and the
            // form that models are told of which know none
  kDeepSeek,  // DeepSeek V3 and R1: sections with a name and a block of JSON for each call
  kLlama,     // {"name": …, "parameters": …} as the whole answer: Llama 3.1 and later
  kMistral,   // [TOOL_CALLS] [{"name": …, "arguments": …}]
};

// What a model's chat template does about tools.
struct ToolFormat {
  ToolStyle style = ToolStyle::kHermes;
  bool renders_tools = false;  // it tells the model of them
  bool renders_calls = false;  // it writes the calls and results of the past
  bool takes_system = true;    // it writes a system message
};

// The style whose marks stand in the template; kHermes if there are none.
ToolStyle tool_style(std::string_view template_source);

// The texts around calls: open, then for each call begin NAME middle ARGUMENTS end with `between`
// before all but the first, then close.
struct CallTexts {
  std::string_view open, begin, middle, end, between, close;
  std::string_view trigger;  // once a model has written this, it is calling
  int max_calls;             // in one answer
};
CallTexts call_texts(ToolStyle style);

// The marks that begin calls, where they are text of their own; special tokens among them have to
// be shown to the parser of calls as text.
std::span<const std::string_view> call_marks(ToolStyle style);

// Those and the others that calls are written with.
std::span<const std::string_view> all_marks(ToolStyle style);

inline constexpr int kMaxCalls = 128;  // in one answer, where a grammar counts them

enum class ToolChoice {
  kAuto,      // the model may call
  kRequired,  // it must
};

// What an answer with calls has to look like, for a grammar: `opening`, then one of the calls, then
// up to `max_calls` - 1 times `again` and one of the calls, then `close`. A call is `before`, a
// JSON value that the schema accepts, `after`.
struct CallGrammar {
  struct Call {
    std::string before, schema, after;
  };
  // kAuto: begins when the model has written this. kRequired: empty, it begins with the answer.
  std::string trigger;
  // May hold special tokens if it is required: then it is forced as tokens, and no text to match.
  std::string opening;
  std::vector<Call> calls;
  std::string again, close;
  int max_calls = 1;
};

// For these tools in OpenAI's form; `name` picks one (tool_choice with a name), empty: any. Where
// the model need not call, only the schemas of tools with "strict" are held to. Fails with
// kInvalidArgument if there is no such tool or one has no name.
Result<CallGrammar> call_grammar(ToolStyle style, const boost::json::array& tools,
                                 ToolChoice choice, std::string_view name, bool parallel);

}  // namespace hachi::chat
