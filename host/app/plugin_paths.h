// SPDX-License-Identifier: MIT
//
// Where the plugins that came with this program are: next to it, under whatever prefix it was installed or built.
#pragma once

#include <string>

namespace lemonade::app {

/// The directory of the installed plugins, found from the path of the running executable (PREFIX/bin/lemonade).
std::string installedPluginDirectory();

}  // namespace lemonade::app
