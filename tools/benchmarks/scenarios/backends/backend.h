// SPDX-License-Identifier: MIT
//
// One backend: a port, a queue and one server that works on the queue in order. A request is one line, "once WORK" or
// "keep WORK"; WORK is nanoseconds of a healthy backend. The answer is the backend's number and a newline, after which
// "once" closes. Work whose client has left is done all the same, as in servers that do not look.
// Thread: the one that runs the loop. Owner: main.
#pragma once

#include "scenarios/backends/timetable.h"
#include "scenarios/event_loop.h"

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

namespace lemonade::bench {

class Backend {
 public:
  /// Listens on a free port of 127.0.0.1. Its events come under ids that are number modulo stride. Throws
  /// std::system_error.
  Backend(EventLoop& loop, std::uint64_t number, std::uint64_t stride);
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  std::uint16_t port() const { return port_; }

  /// Begins to behave so.
  void behave(Action action, double factor);

  /// Handles what epoll reported under id.
  void onEvent(std::uint64_t id);
  /// Does what is due by now.
  void onTime(std::uint64_t now);
  /// When onTime has something to do next; kNever where nothing is planned.
  std::uint64_t nextTime() const;

 private:
  struct Connection {
    Fd fd;
    std::string input;
    bool doomed = false;  // will be reset, unanswered
  };
  struct Job {
    std::uint64_t connection;
    double work_ns;
    bool keep;
  };
  struct Reset {
    std::uint64_t connection;
    std::uint64_t at;
  };

  void listen();
  void accept();
  void read(std::uint64_t id);
  void take(std::uint64_t id, const std::string& line);
  void beginJob(std::uint64_t now);
  void finishJob();
  void reset(std::uint64_t id);
  void forgetWork();

  EventLoop& loop_;
  const std::uint64_t number_;
  const std::uint64_t stride_;
  Fd listener_;
  std::uint16_t port_ = 0;
  bool listening_ = false;
  bool hangs_ = false;
  bool resets_ = false;
  double slowness_ = 1;
  std::uint64_t next_id_;
  std::unordered_map<std::uint64_t, Connection> connections_;
  std::deque<Job> jobs_;  // the first is being worked on
  std::uint64_t job_done_at_ = kNever;
  std::deque<Reset> resets_due_;
};

}  // namespace lemonade::bench
