// SPDX-License-Identifier: MIT
//
// Whether the addresses to listen on can be had now, and who has those that cannot.
#pragma once

#include "config/config.h"
#include "doctor/finding.h"

#include <string>
#include <vector>

namespace lemonade::doctor {

struct TcpSocket;

/// Binds each for a moment, without listening: no client gets in. The admin listener is among them. sockets are those
/// of the machine, proc is the folder, "/proc".
Findings examineListeners(const config::Config& config, const std::vector<TcpSocket>& sockets, const std::string& proc);

}  // namespace lemonade::doctor
