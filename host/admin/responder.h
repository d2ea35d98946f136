// SPDX-License-Identifier: MIT
//
// Runs the handlers, each where it belongs, so that no answer waits for another. What takes a while runs on a few
// threads of its own, for each path one at a time: a sink that hangs costs one of them, however often it is asked.
// Whoever asks the same meanwhile gets one answer, made after the last of them asked; what may change something is done
// for each who asks. The log says who that was, and what came of it.
//
// Belongs to the thread of the io_context, which outlives it, and its handlers all else.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "admin/encoding.h"
#include "admin/message.h"
#include "admin/routes.h"

namespace lemonade::admin {

class Responder {
 public:
  using Shared = std::shared_ptr<const Response>;

  struct Question {
    Request request;
    Coding coding = Coding::kIdentity;
    std::weak_ptr<const void> asker;  ///< nothing is done for one that is gone
    std::function<void(Shared)> done;
  };

  Responder(const Routes& routes, std::shared_ptr<boost::asio::io_context> io, std::size_t threads);

  /// Calls done once, perhaps before this returns, on the thread of the io_context.
  void answer(Question question);

  /// True where no handler is running.
  bool idle() const noexcept { return lanes_.empty(); }
  /// Called when idle() has become true.
  std::function<void()> on_idle = [] {};

 private:
  /// The requests of one method for one path: there is one while a handler runs.
  struct Lane {
    const Handler* handler;
    std::vector<Question> running;
    std::vector<Question> waiting;
  };
  struct Pending {
    Question question;
    boost::asio::steady_timer patience;
  };

  void begin(const Slow& slow, Question question);
  void runNext(const std::string& lane);
  void abandon(const std::string& lane);
  void finished(const std::string& lane, const Shared& response);
  void begin(const Late& late, Question question);
  void settle(std::uint64_t id, Response response);

  const Routes& routes_;
  const std::shared_ptr<boost::asio::io_context> io_;
  std::map<std::string, Lane> lanes_;
  std::map<std::uint64_t, Pending> pending_;
  std::uint64_t last_id_ = 0;
  boost::asio::thread_pool pool_;
};

}  // namespace lemonade::admin
