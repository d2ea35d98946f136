// SPDX-License-Identifier: MIT
//
// What the supervisor and a balancer say to each other over a pair of SOCK_SEQPACKET sockets: words, and descriptors
// that go with them. The first line is what is asked or told, the other lines are about it.
//
//   the balancer    hold NAME...      these sockets listen, keep them; they replace those held so far. One name a line,
//                                     one descriptor a name
//                   ready             clients are accepted
//                   failed TEXT       it will end before it was ready, and why
//                   quarantine        the plugins that the next process is not to run; they replace those told so far.
//                                     The descriptor is a file of them (quarantined.h)
//                   earlier           contents of plugins that have worked and that no file has any more; they replace
//                                     those told so far. One descriptor a content, the newest first
//   the supervisor  hand-over         another process is started to follow; the descriptor is a channel to it,
//                                     over which it asks for what it has to know
//                   drain             another process accepts now: stop accepting, let sessions end, then end
//                   upgrade-failed TEXT   the process that was to follow has ended, and why
//                   deaths COUNT TEXT  so many have died before this one, and how the last one did
#pragma once

#include "base/fd.h"

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lemonade::supervisor {

constexpr std::string_view kHold = "hold", kReady = "ready", kFailed = "failed", kDrain = "drain",
                           kHandOver = "hand-over", kUpgradeFailed = "upgrade-failed", kQuarantine = "quarantine",
                           kDeaths = "deaths", kEarlier = "earlier";

/// As many descriptors as the kernel takes with one message, less a few.
constexpr std::size_t kMostDescriptors = 250;

struct Message {
  std::string what;
  std::string about;
  std::vector<Fd> descriptors;
};

/// Both ends, non-blocking and not inherited. Throws std::system_error.
std::pair<Fd, Fd> makeChannel();

/// Sends at once or not at all; about is cut to a few thousand bytes. False where the other end is gone or reads
/// nothing.
bool send(int channel, std::string_view what, std::string_view about = {},
          std::span<const int> descriptors = {}) noexcept;

enum class Received { kMessage, kNothing, kEnd };
/// The next message, if one has come. kEnd: the other end is gone.
Received receive(int channel, Message& message);

}  // namespace lemonade::supervisor
