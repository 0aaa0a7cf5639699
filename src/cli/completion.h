// `hachi completion SHELL`: a completion script written from the command line's own description, so
// that it never lags behind it.
//
// What a value completes to follows from its CLI11 type name: MODEL gives the names in the store
// and files, a set such as {a,b} gives its members, anything else gives files.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace hachi::cli {

enum class Shell { kBash, kZsh, kFish };

// The script for `app`, its subcommands and their options; hidden ones (without a group) are left
// out. It calls `app.get_name() list --quiet` for the models' names.
std::string completion_script(const CLI::App& app, Shell shell);

}  // namespace hachi::cli
