// SPDX-License-Identifier: MIT
//
// What the data plane has to do with forwarding by the kernel: sockets that keep their address and refuse, and the one
// worker that is asked by the kernel and has all flows.
#include "base/clock.h"
#include "proxy/flow_door.h"
#include "proxy/proxy.h"

#include <memory>
#include <utility>

namespace lemonade::proxy {

namespace {

/// The worker that has all flows: it serves as long as any does.
constexpr std::uint32_t kFlowsAt = 0;

}  // namespace

void Proxy::refuseAtForwarded() {
  for (const auto& listener : listeners_)
    if (listener->isForwardedByKernel())
      for (const auto& socket : listener->sockets()) socket->refuse();
}

void Proxy::reassert() {
  for (const auto& listener : listeners_)
    for (const auto& socket : listener->sockets()) {
      const auto config = listener->config();
      socket->tune(config->backlog, Keepalive::of(*config));
    }
  refuseAtForwarded();
}

void Proxy::openFlows(std::unique_ptr<KernelGate> gate) {
  flows_moved_->store(nowNs());
  // A task may have to be run twice for want of memory.
  auto handed = std::make_shared<std::unique_ptr<KernelGate>>(std::move(gate));
  workers_[kFlowsAt]->post([handed](Worker& self) {
    if (*handed != nullptr) self.flowDoor().open(*handed);
  });
}

void Proxy::useFlows(std::shared_ptr<const FlowPlan> plan) {
  workers_[kFlowsAt]->post([plan = std::move(plan)](Worker& self) { self.flowDoor().flows().use(plan); });
}

void Proxy::adoptFlows(bool counted) {
  workers_[kFlowsAt]->post([counted](Worker& self) { self.flowDoor().flows().adopt(counted); });
}

void Proxy::letGoOfFlows() {
  runOn(kFlowsAt, kFlowsAt + 1, [](Worker& worker) { worker.flowDoor().close(); });
}

bool Proxy::flowsAnswer(std::uint64_t patience_ns) {
  workers_[kFlowsAt]->post([moved = flows_moved_](Worker&) { moved->store(nowNs()); });
  return nowNs() - flows_moved_->load() < patience_ns;
}

}  // namespace lemonade::proxy
