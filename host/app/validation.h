// SPDX-License-Identifier: MIT
//
// A configuration that came in a request, checked and not applied: by the same program in a process of its own, as
// `lemonade lb --validate` does, so that neither its plugins nor its mistakes reach the balancer.
#pragma once

#include "admin/message.h"

#include <functional>
#include <string>
#include <vector>

namespace lemonade::app {

struct ValidationPlace {
  std::string called;                    ///< the file that it could be: relative paths start there
  std::vector<std::string> plugin_dirs;  ///< of the command line
};

/// 200 where it is valid and 422 where it is not, each with the findings as JSON; 503 where that cannot be told.
/// given_up is asked now and then, and ends the wait. Takes seconds where plugins do; any thread.
admin::Response validateApart(const std::string& text, const ValidationPlace& place,
                              const std::function<bool()>& given_up);

}  // namespace lemonade::app
