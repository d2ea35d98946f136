// SPDX-License-Identifier: MIT
#include "app/admin_sockets.h"

#include "admin/usual_socket.h"
#include "base/log.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace lemonade::app {

namespace {

using admin::ListeningSocket;

UnixAccess fileAccessOf(const config::AdminAccess& access) {
  UnixAccess file;
  file.mode = access.socket_mode;
  return file;
}

Result<ListeningSocket::Shared> keptOrOpened(const Address& address, const config::AdminAccess& access,
                                             const std::vector<ListeningSocket::Shared>& running,
                                             InheritedDescriptors& inherited) {
  const auto known = std::ranges::find_if(running, [&](const auto& one) { return one->requested() == address; });
  return known != running.end() ? *known : ListeningSocket::open(address, fileAccessOf(access), inherited);
}

/// Why no socket can be made in the folder; "" where one can.
std::string faultOf(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) return "there is no " + folder.string();
  return ::access(folder.c_str(), W_OK) == 0 ? "" : folder.string() + " may not be written to";
}

Result<AdminSockets> withUsualSocket(AdminSockets sockets, const config::AdminAccess& access,
                                     const std::vector<ListeningSocket::Shared>& running,
                                     InheritedDescriptors& inherited) {
  const std::string path = admin::usualSocketPath();
  sockets.without_socket = faultOf(std::filesystem::path(path).parent_path());
  const auto address = Address::parse("unix:" + path);
  if (!sockets.without_socket.empty()) return sockets;
  if (!address) return sockets.without_socket = path + " is too long for a socket", sockets;
  auto opened = keptOrOpened(*address, access, running, inherited);
  if (opened)
    sockets.all.push_back(std::move(opened).value());
  else
    sockets.without_socket = opened.error().message;
  return sockets;
}

}  // namespace

Result<AdminSockets> openAdminSockets(const config::Config& config, const std::vector<ListeningSocket::Shared>& running,
                                      InheritedDescriptors& inherited) {
  const auto& access = config.admin_access;
  AdminSockets sockets;
  std::vector<std::string> wanted;
  if (config.admin) wanted.push_back(config.admin->address);
  if (access.hasOwnSocket()) wanted.push_back("unix:" + access.socket);
  for (const auto& text : wanted) {
    const auto address = Address::parse(text);
    if (!address) return Error{text + " is no numeric address with a port"};
    auto opened = keptOrOpened(*address, access, running, inherited);
    if (!opened) return std::move(opened).error();
    sockets.all.push_back(std::move(opened).value());
  }
  if (access.socket == config::AdminAccess::kAuto)
    return withUsualSocket(std::move(sockets), access, running, inherited);
  return sockets;
}

void applySocketMode(const std::vector<ListeningSocket::Shared>& sockets, const config::AdminAccess& access) {
  for (const auto& socket : sockets)
    if (socket->isUnix())
      if (const auto allowed = socket->allow(fileAccessOf(access)); !allowed)
        log::warning("admin", allowed.error().message);
}

}  // namespace lemonade::app
