// SPDX-License-Identifier: MIT
#include "balance/resolver.h"

#include "base/control_loop.h"

#include <netdb.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

namespace lemonade {
namespace {

constexpr std::size_t kMaxThreads = 8;

Resolution failure(Resolution::Outcome outcome, const std::string& host, const std::string& why) {
  return {outcome, {}, "host name \"" + host + "\" does not resolve: " + why};
}

Resolution failure(const std::string& host, int code) {
  if (code == EAI_NONAME || code == EAI_NODATA || code == EAI_ADDRFAMILY)
    return failure(Resolution::Outcome::kNotFound, host, ::gai_strerror(code));
  const std::string why = code == EAI_SYSTEM ? std::generic_category().message(errno) : ::gai_strerror(code);
  return failure(Resolution::Outcome::kTemporary, host, why);
}

Resolution lookUp(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;  // no IPv6 addresses where this host has no IPv6
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (code != 0) return failure(host, code);
  Resolution found{Resolution::Outcome::kFound, {}, {}};
  for (const auto* entry = list; entry != nullptr; entry = entry->ai_next) {
    const Address address(entry->ai_addr, entry->ai_addrlen);
    if (address.family() != AF_UNSPEC) found.addresses.push_back(address);
  }
  ::freeaddrinfo(list);
  return found.addresses.empty() ? failure(host, EAI_NODATA) : found;
}

/// The resolution of a name for one port, in order and without doubles.
Resolution withPort(Resolution resolution, std::uint16_t port) {
  auto& addresses = resolution.addresses;
  for (auto& address : addresses) address.setPort(port);
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return resolution;
}

}  // namespace

/// Outlives the resolver for as long as a lookup hangs.
struct Resolver::Shared : std::enable_shared_from_this<Resolver::Shared> {
  struct Waiter {
    std::uint16_t port;
    Callback answered;
  };
  struct Worker {
    std::thread thread;
    bool busy = false;
  };

  Shared(ControlLoop& control_loop, Lookup look_up, std::size_t threads)
      : loop(control_loop), lookup(std::move(look_up)), max_threads(threads) {}

  void ask(const std::string& host);
  void addWorker();
  void work(Worker& self);
  void deliver(const std::string& host, const Resolution& resolution);

  ControlLoop& loop;  // not touched after stopping
  const Lookup lookup;
  const std::size_t max_threads;

  // Control thread only.
  std::map<std::string, std::vector<Waiter>> waiters;  // of every name asked for and not yet answered

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::deque<std::string> queue;
  std::deque<Worker> workers;
  std::size_t idle = 0;
  bool stopping = false;
};

void Resolver::Shared::ask(const std::string& host) {
  std::lock_guard lock(mutex);
  queue.push_back(host);
  if (idle < queue.size() && workers.size() < max_threads) addWorker();
  changed.notify_one();
}

void Resolver::Shared::addWorker() try {
  auto& worker = workers.emplace_back();
  worker.thread = std::thread([self = shared_from_this(), &worker] { self->work(worker); });
} catch (const std::system_error& e) {
  workers.pop_back();
  if (!workers.empty()) return;  // those answer, only later
  loop.post([shared = shared_from_this(), host = std::move(queue.back()), why = std::string(e.what())] {
    shared->deliver(host, failure(Resolution::Outcome::kTemporary, host, "no thread to ask with: " + why));
  });
  queue.pop_back();
}

void Resolver::Shared::work(Worker& self) {
  std::unique_lock lock(mutex);
  while (true) {
    ++idle;
    changed.wait(lock, [this] { return stopping || !queue.empty(); });
    --idle;
    if (stopping) return;
    const auto host = std::move(queue.front());
    queue.pop_front();
    self.busy = true;
    lock.unlock();
    auto resolution = lookup(host);
    lock.lock();
    self.busy = false;
    // Posted under the lock: the loop may be gone once the resolver is.
    if (stopping) return;
    loop.post(
        [shared = shared_from_this(), host, resolution = std::move(resolution)] { shared->deliver(host, resolution); });
  }
}

void Resolver::Shared::deliver(const std::string& host, const Resolution& resolution) {
  const auto answered = waiters.extract(host);
  if (answered.empty()) return;  // the resolver is gone
  for (const auto& waiter : answered.mapped()) waiter.answered(withPort(resolution, waiter.port));
}

Resolver::Resolver(ControlLoop& loop) : Resolver(loop, lookUp, kMaxThreads) {}

Resolver::Resolver(ControlLoop& loop, Lookup lookup, std::size_t max_threads)
    : shared_(std::make_shared<Shared>(loop, std::move(lookup), max_threads)) {}

Resolver::~Resolver() {
  shared_->waiters.clear();
  {
    std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    shared_->queue.clear();
    for (auto& worker : shared_->workers)
      if (worker.busy) worker.thread.detach();
  }
  shared_->changed.notify_all();
  for (auto& worker : shared_->workers)
    if (worker.thread.joinable()) worker.thread.join();
}

void Resolver::resolve(const std::string& host, std::uint16_t port, Callback answered) {
  if (const auto numeric = Address::parse(host, port)) {
    answered({Resolution::Outcome::kFound, {*numeric}, {}});
    return;
  }
  auto& waiters = shared_->waiters[host];
  waiters.push_back({port, std::move(answered)});
  if (waiters.size() == 1) shared_->ask(host);
}

Resolution Resolver::resolveNow(const std::string& host, std::uint16_t port) {
  if (const auto numeric = Address::parse(host, port)) return {Resolution::Outcome::kFound, {*numeric}, {}};
  return withPort(lookUp(host), port);
}

}  // namespace lemonade
