// SPDX-License-Identifier: MIT
#include "admin/usual_socket.h"

#include <cstdlib>

namespace lemonade::admin {

std::string usualSocketPath() {
  const char* const given = std::getenv("RUNTIME_DIRECTORY");
  const std::string folders = given != nullptr ? given : "";
  const auto folder = folders.substr(0, folders.find(':'));
  return (folder.starts_with('/') ? folder : "/run/lemonade") + "/admin.sock";
}

}  // namespace lemonade::admin
