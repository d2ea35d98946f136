// SPDX-License-Identifier: MIT
//
// Source ports against the sessions that may come to one address of a backend: each needs one of its own.
#pragma once

#include "config/config.h"
#include "doctor/finding.h"
#include "doctor/patient.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::doctor {

struct TcpSocket;

/// The ports that the kernel chooses from: net.ipv4.ip_local_port_range without those that are reserved.
struct PortRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  std::uint32_t count = 0;
};
/// Nothing where proc does not say.
std::optional<PortRange> portRange(const std::string& proc);

/// sockets are those of the machine.
Findings examinePorts(const config::Config& config, const Patients& patients, const std::vector<TcpSocket>& sockets,
                      const std::string& proc);

}  // namespace lemonade::doctor
