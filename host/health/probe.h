// SPDX-License-Identifier: MIT
//
// One check of one backend: the host's half. It owns the socket, connects, moves bytes and feeds what happens to the
// checker, which answers with what to do next; the checker's half began with probe_begin and ends with probe_end,
// exactly once, whichever way the check ends.
//
// Every call of the checker goes through its guard, what it points to is copied within the call, and after one that was
// broken off the checker is not called again.
//
// One thread at a time. A Probe is used again for the next check of its backend, so checking allocates next to nothing.
#pragma once

#include "balance/backend.h"
#include "base/clock.h"
#include "base/fd.h"
#include "plugin/instance.h"

#include <lemonade/health_checker.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lemonade::health {

using Checker = plugin::Instance<lemonade_health_checker_t>;

class Probe {
 public:
  enum class Outcome {
    kRunning,
    kPassed,
    kDegraded,
    kFailed,
    kBroken,   ///< the checker itself failed: nothing was learnt about the backend
    kSkipped,  ///< this host lacks a descriptor, memory or a port: nothing was learnt about the backend
  };

  /// Where a check connects to and from, where that is not as its backend says.
  struct Route {
    Address address;              ///< of family AF_UNSPEC: the backend's
    std::uint16_t port = 0;       ///< 0: that of the address
    Address source;               ///< for addresses of its family; of family AF_UNSPEC: the system chooses
    std::uint8_t send_proxy = 0;  ///< version of the PROXY header that the check sends first; 0: none

    Address target(const Address& backend) const noexcept {
      Address to = address.family() != AF_UNSPEC ? address : backend;
      if (address.family() != AF_UNSPEC && to.port() == 0) to.setPort(backend.port());
      if (port != 0) to.setPort(port);
      return to;
    }
  };

  /// Which backend is checked, and how it is reached: copies, for any thread.
  struct Target {
    Target() = default;
    /// Control thread, where the backend belongs to a pool.
    Target(const Backend& backend, const Route& route);

    std::string id{};
    std::string name{};
    std::string hostname{};
    std::string address_text{};
    std::uint64_t identity = 0;
    Address address{};  ///< where the check connects to
    Address source{};
    std::uint8_t send_proxy = 0;
  };

  /// Hears of each step of a check, for people to see; called within the calls of the Probe.
  class Witness {
   public:
    virtual ~Witness() = default;
    virtual void happened(const lemonade_probe_event_t& event) = 0;
    virtual void answered(const lemonade_probe_verdict_t& verdict) = 0;
  };

  /// The clock must outlive this.
  explicit Probe(const Clock& clock) : clock_(clock) {}
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  ~Probe() { cancel(); }

  /// Begins a check; not while one is running. Its socket reports to epoll_fd with tag. checker must stay until the
  /// outcome is another than kRunning; where it is null, the check passes as soon as the backend takes the connection.
  Outcome begin(const Checker* checker, const Target& target, Duration timeout, int epoll_fd, void* tag);
  /// Takes what epoll reported. buffer is scratch space for received bytes.
  Outcome onReady(std::uint32_t events, std::span<char> buffer);
  /// The timeout given to begin() is over.
  Outcome onTimeout();
  /// Ends the check without an outcome; ignored where none is running.
  void cancel() noexcept;

  /// Nobody hears of the steps without this; null: nobody. It must stay as long as this.
  void show(Witness* witness) noexcept { witness_ = witness; }

  bool running() const noexcept { return running_; }
  /// The backend took the connection of the last check.
  bool connected() const noexcept { return connected_; }
  /// Why the last check was kDegraded, kFailed, kBroken or kSkipped, in a few words; empty after kPassed.
  const std::string& reason() const noexcept { return reason_; }
  std::uint64_t startedNs() const noexcept { return started_ns_; }

 private:
  bool askToBegin(const Target& target, lemonade_probe_verdict_t& verdict, lemonade_status_t& status);
  template <class Call>
  bool ask(plugin::Function function, lemonade_probe_verdict_t& verdict, Call&& call);
  Outcome connect(const Address& source, int epoll_fd, void* tag);
  void introduce();
  Outcome onConnectEnded();
  Outcome receive(std::span<char> buffer);
  Outcome feed(std::uint32_t type, lemonade_str_t data, int error);
  Outcome obey(const lemonade_probe_verdict_t& verdict, const std::string& host_words, bool may_go_on);
  Outcome send(lemonade_str_t data);
  void flush();
  Outcome waitForMore();
  Outcome end(Outcome outcome, std::string reason);

  const Clock& clock_;
  Witness* witness_ = nullptr;
  bool running_ = false;
  const Checker* checker_ = nullptr;  // of the check that runs, where its half has begun
  void* probe_ = nullptr;             // the checker's
  Fd fd_;
  Address peer_;
  int epoll_fd_ = -1;
  void* tag_ = nullptr;
  std::uint32_t watched_ = 0;  // epoll events asked for
  bool connected_ = false;
  std::uint8_t send_proxy_ = 0;  // version of the header to send first; 0: none
  int send_error_ = 0;           // errno of sending; told once everything received has been told
  std::string unsent_;           // a copy: the checker's buffer lasts until its next call only
  /// What the checker gave as its reason, and one byte more than is shown, which tells where the last character ends.
  std::array<char, 257> said_{};
  std::size_t said_size_ = 0;
  std::uint64_t started_ns_ = 0;
  Duration timeout_{};
  std::string reason_;
};

}  // namespace lemonade::health
