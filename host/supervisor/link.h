// SPDX-License-Identifier: MIT
//
// The balancer's end of what it says to its supervisor; does nothing where it has none. Any thread, but receive().
#pragma once

#include "base/fd.h"
#include "supervisor/message.h"
#include "supervisor/quarantined.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lemonade::supervisor {

/// What a child finds among its InheritedDescriptors.
constexpr const char* kChannelName = "lemonade-supervisor";
constexpr const char* kPredecessorName = "lemonade-predecessor";  ///< at an upgrade: a channel to the one before
constexpr const char* kConfigName = "lemonade-configuration";     ///< what was read from a pipe, which can be read once
constexpr const char* kTraceName = "lemonade-trace";              ///< memory for base/fault_trace.h
constexpr const char* kQuarantineName = "lemonade-quarantine";    ///< see quarantined.h; not there where it is empty
constexpr const char* kEarlierName = "lemonade-earlier";          ///< any number, see Link::keepEarlier()

class Link {
 public:
  Link() = default;
  /// channel owns nothing: there is no supervisor.
  explicit Link(Fd channel) : channel_(std::move(channel)) {}

  bool exists() const noexcept { return static_cast<bool>(channel_); }
  /// Readable when the supervisor has something to say; -1 where there is none.
  int fd() const noexcept { return channel_.get(); }

  /// Has it hold these sockets, each a name and a descriptor, and no others. False where it can not.
  bool hold(const std::vector<std::pair<std::string, int>>& sockets) const;
  void ready() const noexcept;
  void failed(std::string_view why) const noexcept;
  /// Has it remember these plugins, and no others, as those that the next process is not to run. False where it can
  /// not.
  bool quarantine(const std::vector<Quarantined>& plugins) const;
  /// Has it keep these open files, and no others, for the processes that follow: contents of plugins that have worked.
  /// False where it can not.
  bool keepEarlier(const std::vector<int>& files) const;
  Received receive(Message& message) const { return supervisor::receive(channel_.get(), message); }

 private:
  Fd channel_;
};

}  // namespace lemonade::supervisor
