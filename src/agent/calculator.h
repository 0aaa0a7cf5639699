// The tool `calculator`: {"expression": "3 * (2 + sqrt(16))"} to "18".
#pragma once

#include <string>

#include "agent/tool.h"

namespace hachi::agent {

class Calculator : public Tool {
 public:
  Calculator();
  Result<std::string> call(const boost::json::object& arguments,
                           const CallContext& context) override;
};

}  // namespace hachi::agent
