// SPDX-License-Identifier: MIT
//
// By which sockets the admin server is reached, as the configuration has it: those that stay are kept, new ones are
// opened aside. Control thread.
#pragma once

#include "admin/listening_socket.h"
#include "base/inherited_descriptors.h"
#include "base/result.h"
#include "config/config.h"

#include <string>
#include <vector>

namespace lemonade::app {

struct AdminSockets {
  std::vector<admin::ListeningSocket::Shared> all;  ///< that of TCP first
  std::string without_socket;  ///< why there is no Unix socket, where one is only to be if it can; else ""
};

/// Fails where an address that is configured cannot be listened on.
Result<AdminSockets> openAdminSockets(const config::Config& config,
                                      const std::vector<admin::ListeningSocket::Shared>& running,
                                      InheritedDescriptors& inherited);

/// Gives the file of the Unix socket the mode that is configured; says in the log where that fails.
void applySocketMode(const std::vector<admin::ListeningSocket::Shared>& sockets, const config::AdminAccess& access);

}  // namespace lemonade::app
