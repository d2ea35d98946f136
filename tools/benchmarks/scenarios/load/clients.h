// SPDX-License-Identifier: MIT
//
// The clients: an open loop. Each arrival connects when it is due, whatever became of those before, and its latency
// counts from when it was due, so that a stall is felt by all who would have come meanwhile. A session sends its next
// request some time after the answer to the last.
// Thread: the one that calls run().
#pragma once

#include "scenarios/event_loop.h"
#include "scenarios/load/plan.h"
#include "scenarios/load/record.h"

#include <netinet/in.h>

#include <queue>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace lemonade::bench {

class Clients {
 public:
  /// work: of the requests of sessions. targets: where to connect, at least one; a client goes to the one that its
  /// address leads to. limit_ns: how long a client waits for an answer. plan must outlive this.
  Clients(const std::vector<Arrival>& plan, Work work, std::vector<sockaddr_in> targets, std::uint64_t limit_ns,
          std::size_t backends);

  /// Returns when every client has its answer or gave up. start: of the monotonic clock. Throws std::system_error.
  void run(std::uint64_t start);

  const Record& requests() const { return requests_; }
  const Record& sessions() const { return sessions_; }
  /// How late the clients connected, for the 99th percentile: large where this machine was too busy to tell anything.
  double latenessMs() const { return percentileMs(lateness_ns_, 0.99); }

 private:
  struct Client {
    Fd fd;
    const Arrival* arrival = nullptr;
    std::uint64_t due = 0;   // of the request that waits for its answer
    std::uint64_t ends = 0;  // of a session
    std::uint64_t answers = 0;
    std::uint64_t deadline = kNever;
    bool connecting = true;
    std::string input;
  };
  struct Timer {
    std::uint64_t at;
    std::uint64_t client;
    bool operator>(const Timer& other) const { return at > other.at; }
  };

  void arrive(const Arrival& arrival);
  void onEvent(std::uint64_t id, std::uint32_t events);
  void onTimer(const Timer& timer);
  void send(std::uint64_t id, Client& client);
  void receive(std::uint64_t id, Client& client);
  void answered(std::uint64_t id, Client& client);
  void end(std::uint64_t id, Client& client, Outcome outcome);
  void wait(std::uint64_t id, Client& client, std::uint64_t until);
  Record& recordOf(const Client& client) { return client.arrival->length > 0 ? sessions_ : requests_; }

  const std::vector<Arrival>& plan_;
  const Work work_;
  const std::vector<sockaddr_in> targets_;
  const std::uint64_t limit_ns_;
  EventLoop loop_;
  std::uint64_t start_ = 0;
  std::uint64_t next_id_ = 0;
  std::unordered_map<std::uint64_t, Client> clients_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::mt19937_64 random_{1};  // of what happens within sessions
  Record requests_;
  Record sessions_;
  std::vector<std::uint64_t> lateness_ns_;
};

}  // namespace lemonade::bench
