// SPDX-License-Identifier: MIT
#include "proxy/proxy.h"

#include "base/log.h"

#include <algorithm>
#include <latch>
#include <utility>

namespace lemonade::proxy {

Proxy::Proxy(Pool& pool, std::uint32_t max_connections) : pool_(pool), admission_(max_connections) {
  admission_.onRoom([this] { wake(); });
  admission_.onEmpty([this] {
    if (empty_) empty_();
  });
  for (std::uint32_t i = 0; i < pool.workers(); ++i)
    workers_.push_back(std::make_unique<Worker>(i, pool, settings_, admission_));
}

Proxy::~Proxy() { stop(); }

Result<Proxy::Listeners> Proxy::open(const std::vector<Address>& addresses, std::uint32_t backlog) const {
  Listeners opened;
  for (const auto& address : addresses) {
    const auto known = std::find_if(listeners_.begin(), listeners_.end(),
                                    [&](const auto& listener) { return listener->requested() == address; });
    if (known != listeners_.end()) {
      opened.push_back(*known);
      continue;
    }
    auto listener = Listener::open(address, backlog, settings_.keepalive_seconds.load());
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
    runOnAll([&](Worker& worker) {
      for (const auto& listener : added) worker.acceptor().listen(listener);
      for (const auto& listener : gone) worker.acceptor().unlisten(*listener);
    });
  for (const auto& listener : added) log::info("proxy", "listening", {{"address", listener->address().text()}});
  for (const auto& listener : gone) log::info("proxy", "no longer listening", {{"address", listener->address().text()}});
}

void Proxy::tuneListeners(std::uint32_t backlog) const noexcept {
  for (const auto& listener : listeners_) listener->tune(backlog, settings_.keepalive_seconds.load());
}

void Proxy::start() {
  started_ = true;
  for (auto& worker : workers_) worker->start(listeners_);
}

void Proxy::drain(const std::vector<std::shared_ptr<Backend>>& backends, DrainTime time) {
  std::vector<std::uint64_t> identities;
  for (const auto& backend : backends) identities.push_back(backend->identity());
  for (auto& worker : workers_)
    worker->post([identities, time](Worker& self) {
      for (const std::uint64_t identity : identities) self.sessions().drains().add(identity, time);
    });
}

void Proxy::drain(DrainTime time, std::function<void()> empty) {
  empty_ = std::move(empty);
  runOnAll([time](Worker& worker) {
    worker.acceptor().stop();
    worker.sessions().drains().add(std::nullopt, time);
  });
  listeners_.clear();
  admission_.notifyWhenEmpty();
  if (sessions() == 0) empty_();
}

void Proxy::stop() {
  if (!std::exchange(started_, false)) return;
  runOnAll([](Worker& worker) {
    worker.acceptor().stop();
    worker.sessions().closeAll(CloseReason::kDrain);
  });
  listeners_.clear();
  for (auto& worker : workers_) worker->stop();
}

void Proxy::wake() noexcept {
  for (auto& worker : workers_) worker->wake();
}

std::vector<const ProxyCounters*> Proxy::counters() const {
  std::vector<const ProxyCounters*> counters;
  for (const auto& worker : workers_) counters.push_back(&worker->counters());
  return counters;
}

void Proxy::runOnAll(const std::function<void(Worker&)>& task) {
  std::latch done(static_cast<std::ptrdiff_t>(workers_.size()));
  for (auto& worker : workers_)
    worker->post([&](Worker& self) {
      task(self);
      done.count_down();
    });
  done.wait();
}

}  // namespace lemonade::proxy
