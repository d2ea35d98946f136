// SPDX-License-Identifier: MIT
//
// Which relays there are, and which of them this machine can run.
#pragma once

#include "config/config.h"
#include "proxy/meter.h"
#include "proxy/relay.h"

#include <memory>
#include <string>

namespace lemonade::proxy {

enum class RelayKind { kEpoll, kUring };

/// "epoll" or "io_uring".
const char* relayName(RelayKind kind) noexcept;

/// Makes a relay, which has no owner yet. Throws std::system_error where the kernel refuses what it needs. Control
/// thread.
std::unique_ptr<Relay> makeRelay(RelayKind kind, Meter& meter);

/// Why this machine cannot relay over io_uring; empty where it can. Tries it.
std::string whyNoUring();

/// The one that the configuration asks for, or epoll where this machine has no other; the log says which and why.
RelayKind chooseRelay(config::Relay wanted);

}  // namespace lemonade::proxy
