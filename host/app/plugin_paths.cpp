// SPDX-License-Identifier: MIT
#include "app/plugin_paths.h"

#include <filesystem>
#include <system_error>

namespace lemonade::app {

std::string installedPluginDirectory() {
  std::error_code failed;
  const auto executable = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed) return "/usr/lib/lemonade/plugins";
  return (executable.parent_path().parent_path() / LEMONADE_PLUGIN_DIR).lexically_normal().string();
}

}  // namespace lemonade::app
