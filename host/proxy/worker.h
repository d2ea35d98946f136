// SPDX-License-Identifier: MIT
//
// A worker: one thread, one Poco SocketReactor, and in it just a few descriptors: the session set that stands for all
// connections and for the listeners, a timer, and an eventfd by which others reach it.
#pragma once

#include "balance/quiescence.h"
#include "base/borrowed_socket.h"
#include "base/fd.h"
#include "base/result.h"
#include "proxy/acceptor.h"
#include "proxy/mailbox.h"
#include "proxy/session_set.h"

#include <Poco/AutoPtr.h>
#include <Poco/Net/SocketNotification.h>
#include <Poco/Net/SocketReactor.h>
#include <Poco/Runnable.h>
#include <Poco/Thread.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <semaphore>
#include <string>
#include <system_error>
#include <vector>

namespace lemonade::proxy {

class Worker : public Poco::Runnable {
 public:
  /// The mailbox and the quiescence, which must outlive the worker, know it by its index: until the worker is destroyed
  /// no other may have that.
  Worker(std::uint32_t index, RelayKind relay, Mailbox& mailbox, Sharing& sharing, Quiescence& quiescence,
         const std::atomic<std::uint32_t>& serving);
  /// Stops and joins the thread; sessions that are left are closed.
  ~Worker() override;

  /// Sessions now; a worker without listeners gets no more.
  std::uint64_t sessions() const noexcept { return mailbox_.counters.sessions.value(); }

  /// Starts the thread, which takes no clients until it is told of listeners. Fails, and leaves no thread behind, where
  /// there is no memory for it or for what its relay needs. Control thread, as the rest.
  Status start();
  void stop() noexcept;
  bool started() const noexcept { return started_; }

  /// Runs task soon on the worker's thread, in the order of posting. One that finds no memory is run again a moment
  /// later, and so must be able to. Any thread.
  void post(std::function<void(Worker&)> task);

  // For posted tasks.
  Acceptor& acceptor() noexcept { return acceptor_; }
  SessionSet& sessionSet() noexcept { return sessions_; }

 private:
  /// Announces the worker's quiescent points: between two polls no pick is under way.
  class Reactor : public Poco::Net::SocketReactor {
   public:
    Reactor(Quiescence& quiescence, std::uint32_t worker);

   protected:
    void onBusy() override { quiescence_.announce(worker_); }
    void onTimeout() override { quiescence_.announce(worker_); }
    void onIdle() override {}

   private:
    Quiescence& quiescence_;
    const std::uint32_t worker_;
  };

  void run() override;
  void onSessions(const Poco::AutoPtr<Poco::Net::ReadableNotification>&);
  void onTimer(const Poco::AutoPtr<Poco::Net::ReadableNotification>&);
  void onWake(const Poco::AutoPtr<Poco::Net::ReadableNotification>&);
  bool attach() noexcept;
  void describe(const std::system_error& error) noexcept;
  void runTasks() noexcept;
  void arm();

  const std::uint32_t index_;
  Mailbox& mailbox_;
  Quiescence& quiescence_;
  Fd timer_fd_;
  Reactor reactor_;
  SessionSet sessions_;
  Acceptor acceptor_;
  BorrowedSocket sessions_socket_;
  BorrowedSocket timer_socket_;
  BorrowedSocket wake_socket_;
  std::uint64_t armed_for_ = 0;  // 0: not armed
  std::vector<std::function<void(Worker&)>> running_;
  std::size_t next_ = 0;        // of running_
  std::uint64_t retry_at_ = 0;  // running_ goes on then; 0: nothing is left of it

  Poco::Thread thread_;
  bool started_ = false;
  std::atomic<bool> stopping_{false};
  std::string obstacle_;  // why the thread cannot work; written by it before begun_
  std::binary_semaphore begun_{0};

  std::mutex mutex_;  // guards tasks_
  std::vector<std::function<void(Worker&)>> tasks_;
};

}  // namespace lemonade::proxy
