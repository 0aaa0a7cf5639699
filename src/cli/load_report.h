// What `hachi bench serve` found, and how it prints it.
#pragma once

#include <vector>

#include <boost/json/object.hpp>

#include "cli/load_client.h"
#include "cli/load_run.h"
#include "cli/load_stats.h"

namespace hachi::cli {

struct LoadLevel {
  LoadShape shape;
  LoadRecord record;
};

struct LoadReport {
  LoadRequestOptions request;
  std::string endpoint_url;
  std::string prompts;  // what they are, in words
  LoadTargets targets;
  std::vector<LoadLevel> levels;
};

void print_table(const LoadReport& report);

// Without the API key.
boost::json::object report_json(const LoadReport& report);

}  // namespace hachi::cli
