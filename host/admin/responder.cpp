// SPDX-License-Identifier: MIT
#include "admin/responder.h"

#include <pthread.h>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <new>
#include <thread>
#include <utility>

#include "base/log.h"

namespace lemonade::admin {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;
using Question = Responder::Question;

void reply(const Question& question, Response response) {
  question.done(std::make_shared<const Response>(encoded(std::move(response), question.coding)));
}

/// A client that there is no memory to answer is ended by its deadline.
void tell(const Question& question, const Responder::Shared& response) noexcept try {
  question.done(response);
} catch (const std::bad_alloc&) {
}

/// What one answer may be given to. What changes something is done for each who asks.
bool alike(const Question& one, const Question& other) {
  if (&one == &other) return true;
  return !changes(one.request.method) && one.coding == other.coding && one.request.query == other.request.query &&
         one.request.accept == other.request.accept;
}

/// The name of a lane: a path may be asked and told, which are two things to do. HEAD asks as GET does.
std::string laneOf(const Request& request) {
  return (request.method == "HEAD" ? "GET" : request.method) + " " + request.path;
}

/// A line of the log for what may have changed something: who asked, and what came of it.
std::function<void(Responder::Shared)> logged(const Request& request, std::function<void(Responder::Shared)> done) {
  std::string what = request.method + " " + request.path;
  if (!request.query.empty()) what += "?" + request.query;
  return [what = std::move(what), by = request.by, done = std::move(done)](Responder::Shared response) {
    log::info("admin", "a change was asked for", {{"request", what}, {"by", by}, {"status", response->status}});
    done(std::move(response));
  };
}

/// Without memory the answer waits; it must not be lost, or its path is never answered again.
template <class Task>
void untilThereIsMemory(Task task) {
  for (;;) try {
      return task();
    } catch (const std::bad_alloc&) {
      std::this_thread::sleep_for(100ms);
    }
}

}  // namespace

Responder::Responder(const Routes& routes, std::shared_ptr<asio::io_context> io, std::size_t threads)
    : routes_(routes), io_(std::move(io)), pool_(threads) {}

void Responder::answer(Question question) {
  if (changes(question.request.method)) question.done = logged(question.request, std::move(question.done));
  const auto found = routes_.find(question.request);
  if (const auto* response = std::get_if<Response>(&found)) return reply(question, *response);
  const Route& route = *std::get<const Route*>(found);
  if (const auto* prompt = std::get_if<Prompt>(&route))
    return reply(question, answerOf(prompt->handler, question.request));
  if (const auto* slow = std::get_if<Slow>(&route)) return begin(*slow, std::move(question));
  begin(std::get<Late>(route), std::move(question));
}

void Responder::begin(const Slow& slow, Question question) {
  const std::string name = laneOf(question.request);
  const auto [lane, idle] = lanes_.try_emplace(name, Lane{&slow.handler, {}, {}});
  try {
    lane->second.waiting.push_back(std::move(question));
    if (idle) runNext(name);
  } catch (const std::bad_alloc&) {
    if (idle) abandon(name);  // it would wait for an answer that nobody makes
    throw;
  }
}

void Responder::runNext(const std::string& name) {
  auto& lane = lanes_.at(name);
  std::erase_if(lane.waiting, [](const Question& question) { return question.asker.expired(); });
  if (lane.waiting.empty()) {
    lanes_.erase(name);
    return on_idle();
  }
  const auto others = std::stable_partition(lane.waiting.begin(), lane.waiting.end(), [&](const Question& question) {
    return alike(question, lane.waiting.front());
  });
  lane.running.assign(std::move_iterator(lane.waiting.begin()), std::move_iterator(others));
  lane.waiting.erase(lane.waiting.begin(), others);
  const auto& first = lane.running.front();
  // name = name: of a constant reference a plain capture is a constant, which is copied where Asio moves the task, and
  // there may be no memory for that.
  asio::post(pool_, [this, name = name, handler = lane.handler, request = first.request, coding = first.coding] {
    (void)::pthread_setname_np(::pthread_self(), "admin-work");  // what top -H shows
    const Handler whole = [&](const Request& asked) { return encoded((*handler)(asked), coding); };
    untilThereIsMemory([&] {
      const auto response = std::make_shared<const Response>(answerOf(whole, request));
      asio::post(*io_, [this, name = name, response] { finished(name, response); });
    });
  });
}

void Responder::finished(const std::string& name, const Shared& response) {
  for (const auto& question : std::exchange(lanes_.at(name).running, {})) tell(question, response);
  try {
    runNext(name);
  } catch (const std::bad_alloc&) {
    abandon(name);
    throw;
  }
}

/// Those that wait there are ended by their deadline.
void Responder::abandon(const std::string& name) {
  lanes_.erase(name);
  on_idle();
}

void Responder::begin(const Late& late, Question question) {
  const std::uint64_t id = ++last_id_;
  const auto request = question.request;
  auto& pending =
      pending_.try_emplace(id, Pending{std::move(question), asio::steady_timer(*io_, late.patience)}).first->second;
  try {
    pending.patience.async_wait([this, id, &late](const boost::system::error_code& error) {
      if (!error) settle(id, late.meanwhile);
    });
  } catch (const std::bad_alloc&) {
    pending_.erase(id);
    throw;
  }
  // The answer may come when this server is gone.
  const Answer answer = [this, id, io = std::weak_ptr(io_)](Response response) {
    if (const auto alive = io.lock())
      asio::post(*alive, [this, id, response = std::move(response)]() mutable { settle(id, std::move(response)); });
  };
  const Handler begun = [&](const Request& asked) {
    late.handler(asked, answer);
    return Response{.status = 0};
  };
  if (auto failed = answerOf(begun, request); failed.status != 0) settle(id, std::move(failed));
}

void Responder::settle(std::uint64_t id, Response response) {
  const auto found = pending_.find(id);
  if (found == pending_.end()) return;
  const auto question = std::move(found->second.question);
  pending_.erase(found);
  reply(question, std::move(response));
}

}  // namespace lemonade::admin
