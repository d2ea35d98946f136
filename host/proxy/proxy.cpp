// SPDX-License-Identifier: MIT
#include "proxy/proxy.h"

#include "base/log.h"
#include "proxy/acceptor.h"
#include "proxy/flow_door.h"
#include "proxy/session_set.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <system_error>
#include <utility>

namespace lemonade::proxy {

namespace {

using namespace std::chrono_literals;

/// How long a worker may take to come to a task: it is never longer away than what one batch of events takes.
constexpr auto kPatience = 2s;
/// Counts tasks that have ended.
class Done {
 public:
  explicit Done(std::size_t tasks) : left_(tasks) {}

  /// False where some have not ended after that long.
  bool wait(std::chrono::nanoseconds patience) {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, patience, [this] { return left_ == 0; });
  }

  void count() {
    const std::lock_guard lock(mutex_);
    --left_;
    ended_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t left_;
};

void addDrain(Worker& worker, const DrainScope& scope, DrainTime time, Drain::Because because = Drain::Because::kLeft) {
  worker.sessionSet().drains().add(scope, time, because);
  worker.flowDoor().flows().drain(scope, time, because);
}

Error cannotMake(std::uint32_t workers, const std::string& why) {
  return {"cannot make " + std::to_string(workers) + " workers: " + why +
          "; lower runtime.workers, or raise what limits memory, threads or descriptors (ulimit -a)"};
}

}  // namespace

std::vector<std::uint32_t> shareLimits(const std::vector<std::uint32_t>& limits, std::uint32_t most) {
  const auto sum = std::accumulate(limits.begin(), limits.end(), std::uint64_t{0});
  std::vector<std::uint32_t> shares = limits;
  if (sum <= most) return shares;
  for (auto& share : shares)
    share = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(std::uint64_t{share} * most / sum));
  return shares;
}

Proxy::Proxy(Quiescence& quiescence, RelayKind relay) : quiescence_(quiescence), relay_(relay) {}

Proxy::~Proxy() { stop(); }

void Proxy::attach(Pool& pool) {
  pool.onPlaceOffered([this](std::uint32_t worker, PoolAtWorker& at) {
    mailboxes_[worker].offers.put(at);
    mailboxes_[worker].wake();
  });
}

// Clients of a removed listener may still be on their way to a worker, which then gives them the pool.
bool Proxy::isUnused(Pool& pool) {
  for (const auto* listeners : {&listeners_, &removed_})
    for (const auto& listener : *listeners)
      if (&listener->pool() == &pool) return false;
  if (!pool.hasLeft()) pool.leave();
  return pool.isUnused();
}

// ---- listeners -----------------------------------------------------------------------------------------------------

std::vector<Address> Proxy::Opened::addresses() const {
  std::vector<Address> addresses;
  for (const auto& one : listeners)
    for (const auto& socket : one.sockets) addresses.push_back(socket->address());
  return addresses;
}

Listener::Sockets Proxy::sockets() const {
  Listener::Sockets sockets;
  for (const auto& listener : listeners_)
    sockets.insert(sockets.end(), listener->sockets().begin(), listener->sockets().end());
  return sockets;
}

std::vector<Proxy::Source> Proxy::sources() const {
  std::vector<Source> sources;
  for (const auto& listener : listeners_)
    for (const auto& socket : listener->sockets())
      if (!listener->isForwardedByKernel() || socket->listens()) sources.emplace_back(listener, socket);
  return sources;
}

Result<Proxy::Opened> Proxy::open(std::vector<ListenerSpec> specs, InheritedDescriptors& inherited) const {
  Listener::Sockets going = sockets();
  std::erase_if(going, [&](const Socket& socket) {
    return std::any_of(specs.begin(), specs.end(), [&](const ListenerSpec& spec) {
      return std::find(spec.addresses.begin(), spec.addresses.end(), socket->requested()) != spec.addresses.end();
    });
  });
  // A listener keeps its own sockets before another one gets them: several may have asked for port 0 of an address.
  std::vector<Listener::Sockets> sockets(specs.size());
  Listener::Sockets unclaimed = this->sockets();
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const auto listener = find(specs[i].config->name);
    for (const auto& address : specs[i].addresses)
      sockets[i].push_back(listener != nullptr ? claim(unclaimed, address, &listener->sockets()) : nullptr);
  }
  Opened opened;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    for (std::size_t n = 0; n < sockets[i].size(); ++n) {
      if (sockets[i][n] != nullptr) continue;
      auto socket = openSocket(specs[i], specs[i].addresses[n], unclaimed, going, inherited);
      if (!socket) return std::move(socket).error();
      sockets[i][n] = std::move(socket).value();
    }
    for (const auto& socket : sockets[i])
      if (auto allowed = socket->allow(specs[i].unix_access); !allowed) return std::move(allowed).error();
    opened.listeners.push_back({std::move(specs[i]), std::move(sockets[i])});
  }
  return opened;
}

/// Takes the first out of `sockets` for which this address was asked; where `among` is given, of those. Null where
/// there is none.
Proxy::Socket Proxy::claim(Listener::Sockets& sockets, const Address& address, const Listener::Sockets* among) {
  const auto found = std::find_if(sockets.begin(), sockets.end(), [&](const Socket& socket) {
    if (socket->requested() != address) return false;
    return among == nullptr || std::find(among->begin(), among->end(), socket) != among->end();
  });
  if (found == sockets.end()) return nullptr;
  Socket claimed = std::move(*found);
  sockets.erase(found);
  return claimed;
}

Result<Proxy::Socket> Proxy::openSocket(const ListenerSpec& spec, const Address& address, Listener::Sockets& unclaimed,
                                        const Listener::Sockets& going, InheritedDescriptors& inherited) {
  if (auto socket = claim(unclaimed, address, nullptr); socket != nullptr) return socket;
  auto socket = ListeningSocket::inherit(inherited, address);
  if (!socket || socket.value() != nullptr) return socket;
  auto opened =
      ListeningSocket::open(address, spec.config->backlog, Keepalive::of(*spec.config), going, spec.unix_access);
  // Nobody takes in who connects before the kernel forwards; at a socket that is inherited somebody does.
  if (opened && spec.config->forward == config::Forward::kKernel) opened.value()->refuse();
  return opened;
}

std::shared_ptr<Listener> Proxy::find(const std::string& name) const {
  const auto found =
      std::find_if(listeners_.begin(), listeners_.end(), [&](const auto& one) { return one->name() == name; });
  return found != listeners_.end() ? *found : nullptr;
}

std::shared_ptr<Listener> Proxy::makeListener(const ListenerSpec& spec) {
  auto listener =
      std::make_shared<Listener>(spec, mailboxes_.size(), [this](std::uint32_t worker) { mailboxes_[worker].wake(); });
  listener->admission().onEmpty([this] { noteEmpty(); });
  return listener;
}

void Proxy::listen(Opened opened, DrainTime time) {
  const auto before = sources();
  const auto known = sockets();
  Listeners after;
  for (auto& one : opened.listeners) {
    const auto& config = *one.spec.config;
    auto listener = find(config.name);
    if (listener == nullptr) listener = makeListener(one.spec);
    listener->apply(one.spec);
    listener->setMaxConnections(config.max_connections);
    if (!listener->isForwardedByKernel())
      for (const auto& socket : one.sockets) socket->tune(config.backlog, Keepalive::of(config));
    listener->setSockets(std::move(one.sockets));
    after.push_back(std::move(listener));
  }
  Listeners gone;
  for (const auto& listener : listeners_)
    if (std::find(after.begin(), after.end(), listener) == after.end()) gone.push_back(listener);
  {
    const std::lock_guard lock(mutex_);
    listeners_ = std::move(after);
    removed_.insert(removed_.end(), gone.begin(), gone.end());
  }
  shareLimit();
  const auto sources = this->sources();
  std::vector<Source> added, closed;
  for (const auto& source : sources)
    if (std::find(before.begin(), before.end(), source) == before.end()) added.push_back(source);
  const auto is_source = [&](const Socket& socket) {
    return std::any_of(sources.begin(), sources.end(), [&](const Source& source) { return source.second == socket; });
  };
  for (const auto& source : before)
    if (!is_source(source.second)) closed.push_back(source);
  if (started_ && !(added.empty() && closed.empty()))
    runOn(0, serving(), [added, closed](Worker& worker) {
      for (const auto& [listener, socket] : added) worker.acceptor().listen(listener, socket);
      for (const auto& [listener, socket] : closed) worker.acceptor().unlisten(*socket);
    });
  closing_.clear();
  for (const auto& listener : listeners_)
    if (listener->isForwardedByKernel())
      for (const auto& socket : listener->sockets()) {
        if (std::find(known.begin(), known.end(), socket) == known.end())
          log::info("proxy", "listening, and the kernel forwards",
                    {{"address", socket->address().text()}, {"listener", listener->name()}});
      }
  remove(gone, time);
  for (const auto& [listener, socket] : added)
    log::info("proxy", "listening", {{"address", socket->address().text()}, {"listener", listener->name()}});
  for (const auto& [listener, socket] : closed)
    log::info("proxy", "no longer listening", {{"address", socket->address().text()}, {"listener", listener->name()}});
}

// No worker accepts for them any more. They are kept until reap() finds that none can reach them.
void Proxy::remove(const Listeners& listeners, DrainTime time) {
  if (listeners.empty()) return;
  for (const auto& listener : listeners) {
    listener->setRemoved();
    listener->setSockets({});
  }
  for (auto& worker : workers_)
    if (worker != nullptr)
      worker->post([listeners, time](Worker& self) {
        for (const auto& listener : listeners) addDrain(self, {nullptr, 0, listener.get()}, time);
      });
}

void Proxy::holdTo(std::uint32_t clients) {
  hold_to_ = clients;
  hold_present_ = false;
  shareLimit();
}

void Proxy::holdToPresent() {
  hold_present_ = true;
  shareLimit();
}

void Proxy::shareLimit() {
  // What the kernel forwards takes no descriptor.
  Listeners relayed;
  for (const auto& listener : listeners_)
    listener->isForwardedByKernel() ? listener->admission().setLimit(listener->maxConnections())
                                    : relayed.push_back(listener);
  std::vector<std::uint32_t> limits;
  for (const auto& listener : relayed) limits.push_back(listener->maxConnections());
  limits = shareLimits(limits, hold_to_);
  for (std::size_t i = 0; i < limits.size(); ++i) {
    Admission& admission = relayed[i]->admission();
    admission.setLimit(hold_present_ ? std::min(limits[i], std::max<std::uint32_t>(admission.taken(), 1)) : limits[i]);
  }
}

std::vector<std::shared_ptr<const Listener>> Proxy::allListeners() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<const Listener>> all(listeners_.begin(), listeners_.end());
  all.insert(all.end(), removed_.begin(), removed_.end());
  return all;
}

std::uint32_t Proxy::sessions() const noexcept {
  const std::lock_guard lock(mutex_);
  std::uint32_t sessions = 0;
  for (const auto* listeners : {&listeners_, &removed_})
    for (const auto& listener : *listeners) sessions += listener->admission().taken();
  return sessions;
}

std::uint32_t Proxy::relayedSessions() const noexcept {
  const std::lock_guard lock(mutex_);
  std::uint32_t sessions = 0;
  for (const auto* listeners : {&listeners_, &removed_})
    for (const auto& listener : *listeners)
      if (!listener->isForwardedByKernel()) sessions += listener->admission().taken();
  return sessions;
}

std::uint32_t Proxy::maxConnections() const noexcept {
  const std::lock_guard lock(mutex_);
  std::uint32_t most = 0;
  for (const auto& listener : listeners_) most += listener->admission().limit();
  return most;
}

void Proxy::watchLimits(std::uint64_t now) {
  for (const auto& listener : listeners_) listener->watchLimit(now);
}

// Of listeners that become empty at the same time, the one that is later finds all of them empty.
void Proxy::noteEmpty() noexcept {
  if (sessions() == 0) empty_();
}

// ---- workers -------------------------------------------------------------------------------------------------------

Status Proxy::prepareWorkers(std::uint32_t count) try {
  mailboxes_.grow(count);
  wantRecords(records_wanted_);
  quiescence_.addWorkers(count);
  for (const auto* listeners : {&listeners_, &removed_})
    for (const auto& listener : *listeners) listener->addWorkers(count);
  if (count > most()) workers_.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (workers_[i] != nullptr) continue;
    auto worker = std::make_unique<Worker>(i, relay_, mailboxes_[i], sharing_, quiescence_, serving_);
    if (const Status started = worker->start(); !started) return cannotMake(count, started.error().message);
    workers_[i] = std::move(worker);
  }
  return success();
} catch (const std::system_error& error) {
  return cannotMake(count, error.what());
} catch (const std::bad_alloc&) {
  return cannotMake(count, "out of memory");
}

void Proxy::setWorkers(std::uint32_t count, DrainTime time) {
  const std::uint32_t before = serving_.exchange(count);
  if (!started_) return;
  if (count > before)
    runOn(before, count, [sources = sources()](Worker& worker) {
      worker.sessionSet().drains().remove({});
      for (const auto& [listener, socket] : sources) worker.acceptor().listen(listener, socket);
    });
  // Before it is known how many sessions are left, the last client must be in.
  runOn(count, before, [time](Worker& worker) {
    worker.acceptor().leave();
    worker.sessionSet().drains().add({}, time);
  });
  if (count < before) runOn(0, count, [](Worker& worker) { worker.acceptor().look(); });
}

std::size_t Proxy::reap() {
  std::size_t left = 0;
  for (std::uint32_t i = serving(); i < most(); ++i) {
    if (workers_[i] != nullptr && workers_[i]->sessions() == 0) workers_[i].reset();
    if (workers_[i] != nullptr) ++left;
  }
  const std::lock_guard lock(mutex_);
  left += removed_.size();  // also those that are retired here: they are not freed yet
  std::erase_if(removed_, [this](auto& listener) {
    if (listener->admission().taken() != 0 || listener.use_count() != 1) return false;
    quiescence_.makeRoom();
    quiescence_.retire(std::move(listener));
    return true;
  });
  return left;
}

void Proxy::start() {
  started_ = true;
  acceptAll();
}

void Proxy::acceptAll() {
  runOn(0, serving(), [sources = sources()](Worker& worker) {
    for (const auto& [listener, socket] : sources) worker.acceptor().listen(listener, socket);
  });
}

void Proxy::drain(const Pool& pool, const std::vector<std::shared_ptr<Backend>>& backends, DrainTime time,
                  Drain::Because because) {
  std::vector<std::uint64_t> identities;
  for (const auto& backend : backends) identities.push_back(backend->identity());
  for (auto& worker : workers_)
    if (worker != nullptr)
      worker->post([identities, of = &pool, time, because](Worker& self) {
        for (const std::uint64_t identity : identities) addDrain(self, {of, identity, nullptr}, time, because);
      });
}

void Proxy::part(const std::shared_ptr<PartingOrder>& order) {
  for (auto& worker : workers_)
    if (worker != nullptr) worker->post([order](Worker& self) { self.sessionSet().part(*order); });
}

void Proxy::drain(DrainTime time, std::function<void()> empty) {
  empty_ = std::move(empty);
  runOn(0, most(), [time](Worker& worker) {
    worker.acceptor().stop();
    addDrain(worker, {}, time);
  });
  for (const auto* listeners : {&listeners_, &removed_})
    for (const auto& listener : *listeners) {
      listener->setSockets({});
      listener->admission().notifyWhenEmpty();
    }
  noteEmpty();
}

bool Proxy::stop() {
  if (!std::exchange(started_, false)) return true;
  const bool ended = runOn(0, most(), [](Worker& worker) {
    worker.acceptor().stop();
    worker.acceptor().closeHeaders();
    worker.sessionSet().closeAll(CloseReason::kDrain);
    worker.flowDoor().flows().closeAll(CloseReason::kDrain);
  });
  if (!ended) return false;
  for (const auto& listener : listeners_) listener->setSockets({});
  workers_.clear();
  return true;
}

void Proxy::lookAtTimeouts() {
  for (auto& worker : workers_)
    if (worker != nullptr) worker->post([](Worker& self) { self.sessionSet().lookSoon(); });
}

void Proxy::wake() noexcept {
  for (std::uint32_t i = 0; i < mailboxes_.size(); ++i) mailboxes_[i].wake();
}

void Proxy::look(std::uint64_t now, const Still& still) {
  for (std::uint32_t i = 0; i < mailboxes_.size(); ++i) {
    Mailbox& mailbox = mailboxes_[i];
    if (const std::uint64_t since = mailbox.pulse.owesSince(); since != 0) {
      still(i, since);
    } else if (mailbox.pulse.running()) {
      mailbox.pulse.ask(now);
      mailbox.wake();
    }
  }
}

std::vector<const WorkerCounters*> Proxy::counters() const {
  std::vector<const WorkerCounters*> counters;
  for (std::uint32_t i = 0; i < mailboxes_.size(); ++i) counters.push_back(&mailboxes_[i].counters);
  return counters;
}

std::vector<std::uint64_t> Proxy::lags(std::uint64_t now) const {
  std::vector<std::uint64_t> lags;
  for (std::uint32_t i = 0; i < mailboxes_.size(); ++i) lags.push_back(mailboxes_[i].lag.worst(now));
  return lags;
}

void Proxy::wantRecords(bool wanted) noexcept {
  records_wanted_ = wanted;
  forEachRecordLane([wanted](SessionRecordLane& lane) { lane.want(wanted); });
}

void Proxy::forEachRecordLane(const std::function<void(SessionRecordLane&)>& visit) {
  for (std::uint32_t i = 0; i < mailboxes_.size(); ++i) visit(mailboxes_[i].records);
}

bool Proxy::runOn(std::uint32_t from, std::uint32_t to, const std::function<void(Worker&)>& task) {
  std::vector<Worker*> running;
  for (std::uint32_t i = from; i < to; ++i)
    if (workers_[i] != nullptr && workers_[i]->started()) running.push_back(workers_[i].get());
  // Shared with the workers: one that hangs in a plugin comes to its task after this has given up on it.
  const auto done = std::make_shared<Done>(running.size());
  for (auto* worker : running)
    worker->post([task, done](Worker& self) {
      task(self);
      done->count();
    });
  if (done->wait(kPatience)) return true;
  log::error("proxy", "a worker does not come back from what it does; is a pick of the strategy stuck?");
  return false;
}

}  // namespace lemonade::proxy
