// SPDX-License-Identifier: MIT
//
// Which files of a folder may be plugins. Any thread. Not std::filesystem's iterator: that of gcc 12 ends the process
// where there is no memory for it.
#pragma once

#include <string>
#include <system_error>
#include <vector>

namespace lemonade::plugin {

/// The paths of what ends in ".so" in a folder, in order; failed says why it could not be read, or not to its end.
std::vector<std::string> sharedObjects(const std::string& folder, std::error_code& failed);

}  // namespace lemonade::plugin
