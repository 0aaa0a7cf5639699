// Calling a tool as a model would, with JSON text.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/parse.hpp>

#include "agent/tool.h"

namespace hachi::agent {

// The answer, or "error: …".
inline std::string call(Tool& tool, std::string_view arguments, const CallContext& context = {}) {
  const auto result = tool.call(boost::json::parse(arguments).as_object(), context);
  return result ? *result : "error: " + result.error().message;
}

}  // namespace hachi::agent
