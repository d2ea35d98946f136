// SPDX-License-Identifier: MIT
#include "plugin/private_directory.h"

#include <stdlib.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <system_error>
#include <vector>

namespace lemonade::plugin {

namespace {

bool allowsExecution(const std::string& directory) {
  struct statvfs status {};
  return ::statvfs(directory.c_str(), &status) == 0 && (status.f_flag & ST_NOEXEC) == 0;
}

std::vector<std::string> candidates(const std::string& preferred) {
  std::vector<std::string> directories{preferred};
  for (const char* name : {"RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"})
    if (const char* value = ::getenv(name)) directories.emplace_back(value);
  std::error_code failed;
  directories.push_back(std::filesystem::temp_directory_path(failed).string());
  return directories;
}

}  // namespace

PrivateDirectory::PrivateDirectory(const std::string& preferred) {
  for (const auto& directory : candidates(preferred)) {
    if (directory.empty() || !allowsExecution(directory)) continue;
    std::string name = directory + "/lemonade-plugins-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) continue;
    path_ = name;
    return;
  }
}

PrivateDirectory::~PrivateDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace lemonade::plugin
