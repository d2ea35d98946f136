// SPDX-License-Identifier: MIT
#include "proxy/proxy.h"

#include "base/log.h"
#include "base/seconds.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <utility>

namespace lemonade::proxy {

namespace {

using namespace std::chrono_literals;

/// How long a worker may take to come to a task: it is never longer away than what one batch of events takes.
constexpr auto kPatience = 2s;
/// So long there must be room for clients, before that is believed.
constexpr std::uint64_t kRoomFor = 1'000'000'000;

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

Error cannotMake(std::uint32_t workers, const std::string& why) {
  return {"cannot make " + std::to_string(workers) + " workers: " + why +
          "; lower runtime.workers, or raise what limits memory, threads or descriptors (ulimit -a)"};
}

}  // namespace

Proxy::Proxy(Quiescence& quiescence, Pool& pool, RelayKind relay, std::uint32_t max_connections)
    : quiescence_(quiescence), pool_(pool), relay_(relay), admission_(max_connections) {
  admission_.onRoom([this] { offerRoom(); });
  pool_.onPlace([this](std::uint64_t after) { offerPlace(after); });
  admission_.onEmpty([this] {
    if (empty_) empty_();
  });
}

Proxy::~Proxy() { stop(); }

Result<Proxy::Listeners> Proxy::open(const std::vector<Address>& addresses, std::uint32_t backlog,
                                     InheritedDescriptors& inherited) const {
  Listeners opened, going;
  for (const auto& listener : listeners_)
    if (std::find(addresses.begin(), addresses.end(), listener->requested()) == addresses.end())
      going.push_back(listener);
  for (const auto& address : addresses) {
    const auto known = std::find_if(listeners_.begin(), listeners_.end(),
                                    [&](const auto& listener) { return listener->requested() == address; });
    if (known != listeners_.end()) {
      opened.push_back(*known);
      continue;
    }
    Fd socket = inherited.takeListener(address.get(), "proxy");
    auto listener = socket ? Listener::adopt(std::move(socket), address, backlog, settings_.keepalive())
                           : Listener::open(address, backlog, settings_.keepalive(), going);
    if (!listener) return std::move(listener).error();
    opened.push_back(std::move(listener).value());
  }
  return opened;
}

void Proxy::listen(Listeners listeners) {
  const auto missingIn = [](const Listeners& all, const auto& one) {
    return std::find(all.begin(), all.end(), one) == all.end();
  };
  Listeners added, gone;
  for (const auto& listener : listeners)
    if (missingIn(listeners_, listener)) added.push_back(listener);
  for (const auto& listener : listeners_)
    if (missingIn(listeners, listener)) gone.push_back(listener);
  listeners_ = std::move(listeners);
  if (started_ && !(added.empty() && gone.empty()))
    runOn(0, serving(), [added, gone](Worker& worker) {
      for (const auto& listener : added) worker.acceptor().listen(listener);
      for (const auto& listener : gone) worker.acceptor().unlisten(*listener);
    });
  for (const auto& listener : added) log::info("proxy", "listening", {{"address", listener->address().text()}});
  for (const auto& listener : gone)
    log::info("proxy", "no longer listening", {{"address", listener->address().text()}});
}

void Proxy::tuneListeners(std::uint32_t backlog) const noexcept {
  for (const auto& listener : listeners_) listener->tune(backlog, settings_.keepalive());
}

Status Proxy::prepareWorkers(std::uint32_t count) try {
  mailboxes_.grow(count);
  quiescence_.addWorkers(count);
  if (count > most()) workers_.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (workers_[i] != nullptr) continue;
    auto worker =
        std::make_unique<Worker>(i, relay_, mailboxes_[i], sharing_, quiescence_, pool_, settings_, admission_);
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
  settings_.workers.store(count);
  if (!started_) return;
  if (count > before)
    runOn(before, count, [listeners = listeners_](Worker& worker) {
      worker.sessionSet().drains().remove(std::nullopt);
      for (const auto& listener : listeners) worker.acceptor().listen(listener);
    });
  // Before it is known how many sessions are left, the last client must be in.
  runOn(count, before, [time](Worker& worker) {
    worker.acceptor().leave();
    worker.sessionSet().drains().add(std::nullopt, time);
  });
  if (count < before) runOn(0, count, [](Worker& worker) { worker.acceptor().look(); });
}

std::size_t Proxy::reap() {
  std::size_t left = 0;
  for (std::uint32_t i = serving(); i < most(); ++i) {
    if (workers_[i] != nullptr && workers_[i]->sessions() == 0) workers_[i].reset();
    if (workers_[i] != nullptr) ++left;
  }
  return left;
}

void Proxy::start() {
  started_ = true;
  runOn(0, serving(), [listeners = listeners_](Worker& worker) {
    for (const auto& listener : listeners) worker.acceptor().listen(listener);
  });
}

void Proxy::drain(const std::vector<std::shared_ptr<Backend>>& backends, DrainTime time, Drain::Because because) {
  std::vector<std::uint64_t> identities;
  for (const auto& backend : backends) identities.push_back(backend->identity());
  for (auto& worker : workers_)
    if (worker != nullptr)
      worker->post([identities, time, because](Worker& self) {
        for (const std::uint64_t identity : identities) self.sessionSet().drains().add(identity, time, because);
      });
}

void Proxy::drain(DrainTime time, std::function<void()> empty) {
  empty_ = std::move(empty);
  runOn(0, most(), [time](Worker& worker) {
    worker.acceptor().stop();
    worker.sessionSet().drains().add(std::nullopt, time);
  });
  listeners_.clear();
  admission_.notifyWhenEmpty();
  if (sessions() == 0) empty_();
}

bool Proxy::stop() {
  if (!std::exchange(started_, false)) return true;
  const bool ended = runOn(0, most(), [](Worker& worker) {
    worker.acceptor().stop();
    worker.sessionSet().closeAll(CloseReason::kDrain);
  });
  if (!ended) return false;
  listeners_.clear();
  workers_.clear();
  return true;
}

// Under a load that is near the limit all the time, that is one time and not many.
void Proxy::watchLimit(std::uint64_t now) {
  const std::uint64_t since = admission_.fullSince();
  const bool reached = !admission_.hasRoom();
  if (since == 0 || reached) {
    room_since_ns_ = 0;
    return;
  }
  if (room_since_ns_ <= admission_.lastFull()) room_since_ns_ = now;
  if (now - room_since_ns_ < kRoomFor) return;
  std::uint64_t waited = 0;
  for (const auto* counters : this->counters()) waited += counters->waited.value();
  log::info("proxy", "max_connections is no longer reached",
            {{"for", secondsText(room_since_ns_ - since)}, {"waited", waited - std::exchange(waited_before_, waited)}});
  admission_.settle();
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

// To one of the workers that want it, in turn. Who takes it and finds nobody waiting gives it back: it goes to the
// next.
void Proxy::offerRoom() noexcept {
  const std::uint32_t first = next_offered_.fetch_add(1, std::memory_order_relaxed);
  const std::uint32_t count = mailboxes_.size();  // which a reload may raise
  for (std::uint32_t n = 0; n < count; ++n)
    if (Mailbox& mailbox = mailboxes_[(first + n) % count]; mailbox.wants_room.exchange(false)) return mailbox.wake();
}

// To the worker whose session waits longest, of those that wait since after that time and have not been rung for
// already.
void Proxy::offerPlace(std::uint64_t after) noexcept {
  for (Mailbox* longest = nullptr;; longest = nullptr) {
    std::uint64_t since = std::numeric_limits<std::uint64_t>::max();
    for (std::uint32_t i = 0; i < mailboxes_.size(); ++i)
      if (const std::uint64_t its = mailboxes_[i].queued_since.load(); its > after && its < since) {
        since = its;
        longest = &mailboxes_[i];
      }
    if (longest == nullptr) return;
    std::uint64_t nothing = 0;
    if (longest->place_offered.compare_exchange_strong(nothing, since)) return longest->wake();
    // Written also where it stays as it is: whoever was rung for before will look after this, and see the place.
    if (longest->place_offered.fetch_add(0) != 0) after = since;
  }
}

std::vector<const ProxyCounters*> Proxy::counters() const {
  std::vector<const ProxyCounters*> counters;
  for (std::uint32_t i = 0; i < mailboxes_.size(); ++i) counters.push_back(&mailboxes_[i].counters);
  return counters;
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
