// SPDX-License-Identifier: MIT
//
// The sockets under Poco::Net::HTTPServer, with what it lacks: close-on-exec, a deadline over a whole request instead
// of one over each read, an end to every wait when the server stops, and calm when descriptors run out.
#pragma once

#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/StreamSocketImpl.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "base/clock.h"
#include "base/fd.h"

namespace lemonade::admin {

/// What all sockets of one server share; outlives the last of them. Any thread.
class SocketGuard {
 public:
  SocketGuard();

  /// From now on nothing is accepted, and what has not said its whole request yet is cut off.
  void stopReading() noexcept;
  /// From now on answers are cut off, too.
  void stopWriting() noexcept;
  /// True when the last connection is gone; waits for that until deadline_ns of the monotonic clock.
  bool awaitNone(std::uint64_t deadline_ns);

  int readingStopped() const noexcept { return reading_stopped_.get(); }
  int writingStopped() const noexcept { return writing_stopped_.get(); }
  void opened();
  void closed();

 private:
  Fd reading_stopped_;  // eventfds: readable from the call on
  Fd writing_stopped_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int open_ = 0;
};

/// An accepted connection. Used by one thread at a time.
class Connection : public Poco::Net::StreamSocketImpl {
 public:
  Connection(int fd, std::shared_ptr<SocketGuard> guard, Duration time);

  /// Everything from now on has to be done within `time`.
  void setTime(Duration time) noexcept;

  int receiveBytes(void* buffer, int length, int flags) override;
  int sendBytes(const void* buffer, int length, int flags) override;
  bool poll(const Poco::Timespan& timeout, int mode) override;

 protected:
  ~Connection() override;

 private:
  /// The event that ends a wait for these events of poll(2).
  int stopped(short events) const noexcept;
  void await(short events);

  const std::shared_ptr<SocketGuard> guard_;
  std::uint64_t deadline_ns_ = 0;
  // Orders every use before destruction. POCO's reference count does so already, but its libraries are not
  // instrumented, so ThreadSanitizer cannot see that.
  std::atomic<std::uint32_t> uses_{0};
};

/// The listening socket, not yet bound. Its connections have `request_time` from accept on.
class Listener : public Poco::Net::ServerSocket {
 public:
  Listener(std::shared_ptr<SocketGuard> guard, Duration request_time);
};

}  // namespace lemonade::admin
