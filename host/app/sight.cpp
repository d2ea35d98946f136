// SPDX-License-Identifier: MIT
#include "app/sight.h"

#include "config/loader.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace lemonade::app {

namespace {

namespace fs = std::filesystem;

}  // namespace

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
    for (fs::directory_iterator it(directory, failed), end; !failed && it != end; it.increment(failed))
      if (it->path().extension() == ".so") files.push_back(it->path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace lemonade::app
