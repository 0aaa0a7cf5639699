// The final answer of a solution in LaTeX's \boxed{}, as models are asked to mark it.
#pragma once

#include <optional>
#include <string_view>

namespace hachi::output {

// What stands between the braces of the last \boxed{…} or \fbox{…} of `text` that is closed,
// without the white space around it; braces within count in pairs, \{ and \} do not count. Boxes
// within a box belong to it. A view into `text`; nothing if there is no such box.
std::optional<std::string_view> last_boxed(std::string_view text);

}  // namespace hachi::output
