// SPDX-License-Identifier: MIT
#include "app/sight.h"

#include "config/loader.h"
#include "plugin/shared_objects.h"

#include <sys/stat.h>

#include <algorithm>
#include <system_error>

namespace lemonade::app {

std::string lookAtFile(const std::optional<std::string>& file) {
  if (!file) return {};
  auto content = config::readFile(*file);
  return content ? std::move(content).value() : content.error().message;
}

std::string lookAtPlugin(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return path + "\n";
  return path + " " + std::to_string(status.st_dev) + " " + std::to_string(status.st_ino) + " " +
         std::to_string(status.st_size) + " " + std::to_string(status.st_mtim.tv_sec) + "." +
         std::to_string(status.st_mtim.tv_nsec) + " " + std::to_string(status.st_ctim.tv_sec) + "." +
         std::to_string(status.st_ctim.tv_nsec) + "\n";
}

std::string lookAtPlugins(const std::vector<std::string>& directories) {
  std::string seen;
  for (const auto& file : pluginFiles(directories)) seen += lookAtPlugin(file);
  return seen;
}

std::vector<std::string> pluginFiles(const std::vector<std::string>& directories) {
  std::vector<std::string> files;
  for (const auto& directory : directories) {
    std::error_code failed;
    const auto found = plugin::sharedObjects(directory, failed);
    files.insert(files.end(), found.begin(), found.end());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace lemonade::app
