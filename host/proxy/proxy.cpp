// SPDX-License-Identifier: MIT
#include "proxy/proxy.h"

#include "base/log.h"

#include <latch>

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

Status Proxy::listen(const std::vector<Address>& addresses, std::uint32_t backlog) {
  std::vector<Listener> opened;
  for (const auto& address : addresses) {
    auto listener = Listener::open(address, backlog, settings_.keepalive_seconds.load());
    if (!listener) return std::move(listener).error();
    opened.push_back(std::move(listener).value());
  }
  listeners_ = std::move(opened);
  return success();
}

void Proxy::start() {
  started_ = true;
  for (auto& worker : workers_) worker->start(listeners_);
  for (const auto& listener : listeners_)
    log::info("proxy", "listening", {{"address", listener.address().text()}});
}

void Proxy::drain(std::function<void()> empty) {
  empty_ = std::move(empty);
  runOnAll([](Worker& worker) { worker.acceptor().stop(); });
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
