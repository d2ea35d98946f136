// SPDX-License-Identifier: MIT
//
// Questions to the name servers of /etc/resolv.conf, many at once and without blocking: a channel of c-ares, whose
// sockets and timeouts belong to a loop. One channel asks the servers that it found when it was made.
//
// The thread of its loop only.
#pragma once

#include "base/control_loop.h"
#include "base/fd.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

struct ares_channeldata;

namespace lemonade {

/// Where names are asked for.
struct NameServers {
  std::string file = "/etc/resolv.conf";  ///< lists them; a test has one of its own
  std::uint16_t port = 53;
};

/// What the servers said to one question.
struct DnsAnswer {
  bool there = false;                ///< false: not yet
  int status = 0;                    ///< of c-ares: ARES_SUCCESS, ARES_ENOTFOUND, ARES_ENODATA, ARES_ETIMEOUT, ...
  std::vector<unsigned char> bytes;  ///< of ARES_SUCCESS: the whole message, which nobody has looked into yet
};

class DnsChannel {
 public:
  /// on_answers is called after one or more answers have come, never from within ask(). Both references must outlive
  /// this.
  DnsChannel(ControlLoop& loop, const NameServers& servers, std::function<void()> on_answers);
  /// Questions that are not answered yet end here, unheard.
  ~DnsChannel();
  DnsChannel(const DnsChannel&) = delete;
  DnsChannel& operator=(const DnsChannel&) = delete;

  /// Asks for the records of a type (ns_t_a, ...) of a complete name. What cannot be asked is answered already when
  /// this returns.
  std::shared_ptr<const DnsAnswer> ask(const std::string& name, int type);

  /// The complete names that a configured one may stand for, in the order of asking; see resolv.conf(5), search.
  std::vector<std::string> candidates(const std::string& name) const;

  /// The name servers, for people: "10.0.0.2, 10.0.0.3".
  const std::string& servers() const noexcept { return servers_; }
  /// True where the list of servers has changed since.
  bool outdated() const;

 private:
  static void onAnswer(void* answer, int status, int timeouts, unsigned char* bytes, int size) noexcept;
  static void onSocket(void* self, int socket, int readable, int writable) noexcept;
  void readSearch();
  void readServers();
  void onReady();
  void armTimer();

  ControlLoop& loop_;
  const std::string file_;
  const std::string state_of_file_;
  const std::function<void()> on_answers_;
  Fd epoll_;
  ares_channeldata* channel_ = nullptr;  // null where none could be made
  int made_ = 0;                         // the status of making it
  std::string servers_;
  std::vector<std::string> search_;
  int dots_for_complete_ = 1;
  ControlLoop::TimerId timer_ = 0;
};

}  // namespace lemonade
