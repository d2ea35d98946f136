// SPDX-License-Identifier: MIT
//
// What the pools of a process need of the rest of it, in tests of reloads.
#pragma once

#include "app/overrides.h"
#include "app/pool_host.h"
#include "balance/pool.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::app {

/// A new object, kept until the process ends, as host handles demand.
template <class T>
T& keep() {
  static auto& kept = *new std::vector<std::unique_ptr<T>>;
  return *kept.emplace_back(std::make_unique<T>());
}

/// Notes what the pools of a process ask for that has no sessions. Control thread.
class RecordingPoolHost final : public PoolHost {
 public:
  bool isUnused(Pool& pool) override {
    if (!pool.hasLeft()) pool.leave();
    return pool.isUnused();
  }
  std::vector<Address> listeningAddresses() const override { return {}; }
  void drainBackends(const Pool& pool, const std::vector<std::shared_ptr<Backend>>& left) override {
    for (const auto& backend : left) drained.push_back(pool.name() + "/" + backend->id());
  }
  void endSessionsAt(const Pool&, const std::shared_ptr<Backend>&) override {}
  void partSessions(const std::shared_ptr<proxy::PartingOrder>&) override {}
  void healthChanged(const metrics::HealthEvent&) override {}
  void viewPublished() override { on_view(); }
  void checkEnded() override {}
  void happened(Event event) override { events.push_back(std::move(event)); }
  void overrideEnded(const EndedOverride& ended) override { ended_overrides.push_back(ended); }

  std::vector<std::string> drained;  ///< "pool/backend"
  std::vector<Event> events;
  std::vector<EndedOverride> ended_overrides;
  std::function<void()> on_view = [] {};  ///< a pool has published a view
};

}  // namespace lemonade::app
