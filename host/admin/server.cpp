// SPDX-License-Identifier: MIT
//
// The server's thread, and its end.
#include "admin/server.h"

#include <Poco/Net/NetException.h>
#include <Poco/Net/SocketAddress.h>
#include <pthread.h>
#include <sys/socket.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "admin/clients.h"
#include "base/log.h"

namespace lemonade::admin {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;

constexpr int kBacklog = 512;
constexpr Duration kMoment = 200ms;  // for what only waited for its client

std::chrono::steady_clock::time_point after(Duration delay) { return std::chrono::steady_clock::now() + delay; }

/// A listening socket that no child inherits. Throws what names the reason.
Fd listenOn(const Poco::Net::SocketAddress& address) {
  Fd fd = ownedFd(::socket(address.af(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket");
  const int on = 1;
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(fd.get(), address.addr(), address.length()) != 0 || ::listen(fd.get(), kBacklog) != 0)
    throw std::system_error(errno, std::generic_category());
  return fd;
}

std::string localAddress(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (::getsockname(fd, any, &size) != 0) throw std::system_error(errno, std::generic_category());
  return Poco::Net::SocketAddress(any, size).toString();
}

}  // namespace

/// Shared with the threads of the server, which may be left behind by stop().
class Server::Impl {
 public:
  explicit Impl(Limits chosen) : limits(chosen) {}

  void start(const std::string& where, InheritedDescriptors& inherited);
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
  std::string address;
  int fd = -1;  // of clients_, once there are any
  std::thread thread;

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

void Server::Impl::start(const std::string& where, InheritedDescriptors& inherited) {
  const Poco::Net::SocketAddress at(where);
  Fd listener = inherited.takeListener(at.addr(), "admin");
  if (!listener) listener = listenOn(at);
  fd = listener.get();
  address = localAddress(listener.get());
  io_ = std::make_shared<asio::io_context>(1);
  work_.emplace(io_->get_executor());
  responder_.emplace(routes, io_, limits.threads);
  clients_.emplace(*io_, std::move(listener), at.af(), limits, *responder_);
  responder_->on_idle = [this] { noteQuiet(); };
  clients_->on_empty = [this] { noteQuiet(); };
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

Status Server::start(const std::string& address, InheritedDescriptors& inherited) {
  const auto& impl = impl_;
  try {
    impl->start(address, inherited);
    impl->thread = std::thread([raw = impl.get()] { raw->run(); });
  } catch (const Poco::Exception& e) {
    return Error{"cannot listen on " + address + ": " + e.displayText()};
  } catch (const std::exception& e) {
    return Error{"cannot listen on " + address + ": " + e.what()};
  }
  log::info("admin", "listening", {{"address", impl->address}});
  return success();
}

void Server::allow(const std::vector<std::string>& names) { impl_->clients().allow(Access(names)); }

int Server::fd() const noexcept { return impl_ ? impl_->fd : -1; }

void Server::retire() {
  impl_->post([impl = impl_] { impl->clients().retire(); });
}

std::string Server::address() const { return impl_ ? impl_->address : ""; }

bool Server::stop(Duration grace) {
  const auto impl = std::exchange(impl_, nullptr);
  if (!impl || !impl->thread.joinable()) return true;
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
  log::warning("admin", "a request hangs and is left behind", {{"address", impl->address}});
  static auto& left_behind = *new std::vector<std::shared_ptr<Impl>>;  // never destroyed
  left_behind.push_back(impl);
  return false;
}

}  // namespace lemonade::admin
