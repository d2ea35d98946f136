// SPDX-License-Identifier: MIT
//
// Results as a picture: the response time that each share of the requests did not exceed, a line for each strategy. SVG
// that needs nothing else, light and dark. Stateless; any thread.
#pragma once

#include "simulation/result.h"

#include <string>
#include <vector>

namespace lemonade::sim {

struct Curve {
  std::string name;
  Result result;
};

/// The whole file. Curves end where requests were not answered.
std::string chart(const std::string& title, std::vector<Curve> curves);

}  // namespace lemonade::sim
