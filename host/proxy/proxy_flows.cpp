// SPDX-License-Identifier: MIT
//
// What the data plane has to do with forwarding by the kernel: sockets that keep their address and refuse once it
// forwards, and the one worker that is asked by the kernel and has all flows.
#include "base/clock.h"
#include "base/log.h"
#include "proxy/acceptor.h"
#include "proxy/flow_door.h"
#include "proxy/proxy.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace lemonade::proxy {

namespace {

/// The worker that has all flows: it serves as long as any does.
constexpr std::uint32_t kFlowsAt = 0;
/// So long a handshake may last that a relay's socket has begun: what answers a client is sent again after one second
/// and after three.
constexpr std::uint64_t kHandshakePatience = 3'500'000'000;

}  // namespace

void Proxy::closeForwarded() {
  const std::uint64_t now = nowNs();
  std::vector<Source> closed;
  std::vector<Closing> closing;
  for (const auto& listener : listeners_) {
    if (!listener->isForwardedByKernel()) continue;
    for (const auto& socket : listener->sockets()) {
      if (!socket->listens()) continue;
      const auto known =
          std::find_if(closing_.begin(), closing_.end(), [&](const Closing& one) { return one.socket == socket; });
      const Closing one = known != closing_.end() ? *known : Closing{socket, now + kHandshakePatience};
      if (now < one.at_ns || socket->waiting() != 0)
        closing.push_back(one);
      else
        closed.emplace_back(listener, socket);
    }
  }
  closing_ = std::move(closing);
  if (closed.empty()) return;
  runOn(0, serving(), [closed](Worker& worker) {
    for (const auto& [listener, socket] : closed) worker.acceptor().unlisten(*socket);
  });
  for (const auto& [listener, socket] : closed) {
    socket->refuse();
    log::info("proxy", "no longer listening, the kernel forwards",
              {{"address", socket->address().text()}, {"listener", listener->name()}});
  }
}

void Proxy::reassert() {
  for (const auto& listener : listeners_) {
    if (listener->isForwardedByKernel()) continue;
    const auto config = listener->config();
    for (const auto& socket : listener->sockets()) socket->tune(config->backlog, Keepalive::of(*config));
  }
  closing_.clear();
  if (started_) acceptAll();
}

void Proxy::openFlows(std::unique_ptr<KernelGate> gate) {
  flow_pulse_->moved_ns = nowNs();
  // A task may have to be run twice for want of memory.
  auto handed = std::make_shared<std::unique_ptr<KernelGate>>(std::move(gate));
  workers_[kFlowsAt]->post([handed](Worker& self) {
    if (*handed != nullptr) self.flowDoor().open(*handed);
  });
}

void Proxy::useFlows(std::shared_ptr<const FlowPlan> plan) {
  workers_[kFlowsAt]->post([plan = std::move(plan)](Worker& self) { self.flowDoor().flows().use(plan); });
}

void Proxy::letGoOfFlows() {
  runOn(kFlowsAt, kFlowsAt + 1, [](Worker& worker) { worker.flowDoor().close(); });
}

void Proxy::yieldFlows(bool yields) {
  runOn(kFlowsAt, kFlowsAt + 1, [yields](Worker& worker) { worker.flowDoor().flows().yield(yields); });
}

void Proxy::adoptFlows(bool counted) {
  workers_[kFlowsAt]->post([counted](Worker& self) { self.flowDoor().flows().adopt(counted); });
}

void Proxy::giveWayWithFlows() {
  runOn(kFlowsAt, kFlowsAt + 1, [](Worker& worker) { worker.flowDoor().giveWay(); });
}

void Proxy::settleFlows() {
  workers_[kFlowsAt]->post([](Worker& self) { self.flowDoor().flows().settle(); });
}

void Proxy::timeFlows(std::unique_ptr<kernel::ExchangeTimes> times) {
  auto handed = std::make_shared<std::unique_ptr<kernel::ExchangeTimes>>(std::move(times));
  workers_[kFlowsAt]->post([handed](Worker& self) { self.flowDoor().time(*handed); });
}

bool Proxy::flowsAnswer(std::uint64_t patience_ns) {
  workers_[kFlowsAt]->post([pulse = flow_pulse_](Worker& self) {
    pulse->flows = self.flowDoor().flows().size();
    pulse->moved_ns = nowNs();
  });
  return nowNs() - flow_pulse_->moved_ns < patience_ns;
}

}  // namespace lemonade::proxy
