// SPDX-License-Identifier: MIT
//
// The server's thread, and its end.
#include "admin/server.h"

#include <pthread.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "admin/clients.h"
#include "base/log.h"

namespace lemonade::admin {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;

constexpr Duration kMoment = 200ms;  // for what only waited for its client

std::chrono::steady_clock::time_point after(Duration delay) { return std::chrono::steady_clock::now() + delay; }

}  // namespace

/// Shared with the threads of the server, which may be left behind by stop().
class Server::Impl {
 public:
  explicit Impl(Limits chosen) : limits(chosen) {}

  void start();
  void use(std::vector<ListeningSocket::Shared> next);
  /// The server's thread, until close().
  void run();
  /// Accepts no more. On the server's thread.
  void finish();
  void close();
  /// Runs a task on the server's thread, which need not live any more.
  template <class Task>
  void post(Task task) {
    asio::post(*io_, std::move(task));
  }

  /// Waits until no client is left and no handler runs; true where that is so in time.
  bool awaitQuiet(std::chrono::steady_clock::time_point deadline);
  bool awaitEnd(std::chrono::steady_clock::time_point deadline);

  Clients& clients() { return *clients_; }

  // Constant after start.
  const Limits limits;
  Routes routes;
  std::thread thread;

  std::vector<ListeningSocket::Shared> sockets;  // control thread

 private:
  void noteQuiet();

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool finishing_ = false;  // no client comes any more
  bool quiet_ = false;
  bool ended_ = false;

  // The order matters: what runs on the io_context ends before it, and the threads before what they call.
  std::shared_ptr<asio::io_context> io_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  std::optional<Responder> responder_;
  std::optional<Clients> clients_;
};

void Server::Impl::start() {
  io_ = std::make_shared<asio::io_context>(1);
  work_.emplace(io_->get_executor());
  responder_.emplace(routes, io_, limits.threads);
  clients_.emplace(*io_, limits, *responder_);
  (void)asio::steady_timer(*io_);  // has it make what it waits with: later there may be no descriptor for that
  responder_->on_idle = [this] { noteQuiet(); };
  clients_->on_empty = [this] { noteQuiet(); };
}

void Server::Impl::use(std::vector<ListeningSocket::Shared> next) {
  for (const auto& socket : next)
    if (std::ranges::find(sockets, socket) == sockets.end())
      log::info("admin", "listening", {{"address", socket->text()}});
  post([this, next] { clients_->use(next); });
  sockets = std::move(next);
}

void Server::Impl::run() {
  (void)::pthread_setname_np(::pthread_self(), "admin");  // what top -H shows
  for (;;) try {
      clients_->listen();
      io_->run();
      break;
    } catch (const std::exception& e) {
      // Its client is ended by its deadline.
      log::error("admin", "a client could not be served", {{"reason", e.what()}});
      std::this_thread::sleep_for(10ms);
    }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void Server::Impl::finish() {
  {
    const std::lock_guard lock(mutex_);
    finishing_ = true;
  }
  clients_->finish();
}

void Server::Impl::noteQuiet() {
  const std::lock_guard lock(mutex_);
  quiet_ = finishing_ && clients_->empty() && responder_->idle();
  changed_.notify_all();
}

void Server::Impl::close() {
  work_.reset();
  io_->stop();
}

bool Server::Impl::awaitQuiet(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline, [this] { return quiet_; });
}

bool Server::Impl::awaitEnd(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline, [this] { return ended_; });
}

Server::Server(Limits limits) : impl_(std::make_shared<Impl>(limits)) {}

Server::~Server() { stop(Duration::zero()); }

void Server::handle(std::string method, std::string path, Route route) {
  impl_->routes.add(std::move(method), std::move(path), std::move(route));
}

Status Server::start(std::vector<ListeningSocket::Shared> sockets) try {
  impl_->start();
  impl_->use(std::move(sockets));
  impl_->thread = std::thread([raw = impl_.get()] { raw->run(); });
  return success();
} catch (const std::exception& e) {
  return Error{std::string("cannot start the admin listener: ") + e.what()};
}

Status Server::start(const std::string& address) {
  const auto at = Address::parse(address);
  if (!at) return Error{"cannot listen on " + address + ": this is no numeric address with a port"};
  InheritedDescriptors none;
  auto socket = ListeningSocket::open(*at, {}, none);
  if (!socket) return std::move(socket).error();
  return start(std::vector{std::move(socket).value()});
}

void Server::use(std::vector<ListeningSocket::Shared> sockets) { impl_->use(std::move(sockets)); }

void Server::allow(Access access) { impl_->clients().allow(std::move(access)); }

const std::vector<ListeningSocket::Shared>& Server::sockets() const noexcept {
  static const auto& none = *new std::vector<ListeningSocket::Shared>();
  return impl_ ? impl_->sockets : none;
}

std::string Server::address() const { return sockets().empty() ? "" : sockets().front()->text(); }

bool Server::stop(Duration grace) {
  const auto impl = std::exchange(impl_, nullptr);
  if (!impl || !impl->thread.joinable()) return true;
  const auto address = impl->sockets.empty() ? std::string() : impl->sockets.front()->text();
  impl->sockets.clear();
  const auto deadline = after(grace);
  impl->post([impl] { impl->finish(); });
  bool clean = impl->awaitQuiet(deadline);
  if (!clean) {
    impl->post([impl] { impl->clients().end(); });
    clean = impl->awaitQuiet(after(kMoment));
  }
  impl->close();
  // One that hangs in a handler cannot be joined.
  const bool ended = impl->awaitEnd(after(kMoment));
  ended ? impl->thread.join() : impl->thread.detach();
  if (ended && clean) return true;
  log::warning("admin", "a request hangs and is left behind", {{"address", address}});
  static auto& left_behind = *new std::vector<std::shared_ptr<Impl>>;  // never destroyed
  left_behind.push_back(impl);
  return false;
}

}  // namespace lemonade::admin
