// SPDX-License-Identifier: MIT
#include "app/takeover.h"

#include "app/edges.h"
#include "app/managed_pool.h"
#include "app/preparation.h"
#include "balance/pool.h"
#include "process/worker_count.h"

#include <memory>
#include <utility>

namespace lemonade::app {

namespace {

Result<std::vector<Address>> parseAddresses(const std::vector<config::Listen>& listens) {
  std::vector<Address> addresses;
  for (const auto& listen : listens) {
    const auto address = Address::parse(listen.address);
    if (!address) return Error{listen.source.text() + ": " + listen.address + " is no numeric address with a port"};
    addresses.push_back(*address);
  }
  return addresses;
}

Result<proxy::ListenerSpec> specOf(const config::Listener& listener, Pool& pool) {
  auto addresses = parseAddresses(listener.addresses);
  if (!addresses) return std::move(addresses).error();
  auto access = unixAccessOf(listener);
  if (!access) return std::move(access).error();
  return proxy::ListenerSpec{std::make_shared<const config::Listener>(listener), std::move(addresses).value(),
                             access.value(), &pool};
}

Result<std::vector<proxy::ListenerSpec>> specsOf(const std::vector<config::Listener>& listeners,
                                                 const PoolSet::Staged& pools) {
  std::vector<proxy::ListenerSpec> specs;
  for (const auto& listener : listeners) {
    auto spec = specOf(listener, pools[listener.pool].pool());
    if (!spec) return std::move(spec).error();
    specs.push_back(std::move(spec).value());
  }
  return specs;
}

}  // namespace

Takeover::Takeover(PoolSet& pools, proxy::Proxy& proxy, std::uint32_t workers, PoolSet::Staged staged,
                   proxy::Proxy::Opened listeners)
    : pools_(pools), proxy_(proxy), workers_(workers), staged_(std::move(staged)), listeners_(std::move(listeners)) {}

Result<Takeover> Takeover::stage(Preparation& preparation, PoolSet& pools, proxy::Proxy& proxy,
                                 InheritedDescriptors& inherited) {
  const std::uint32_t workers = workerCount(preparation.config);
  auto staged = pools.stage(preparation, workers);
  if (!staged) return std::move(staged).error();
  if (auto prepared = proxy.prepareWorkers(workers); !prepared) return std::move(prepared).error();
  auto specs = specsOf(preparation.config.listeners, staged.value());
  if (!specs) return std::move(specs).error();
  auto listeners = proxy.open(std::move(specs).value(), inherited);
  if (!listeners) return std::move(listeners).error();
  return Takeover(pools, proxy, workers, std::move(staged).value(), std::move(listeners).value());
}

void Takeover::use(const Preparation& preparation, proxy::DrainTime drain) && {
  // A pool has a view before the first listener leads to it, and loses its backends after the last one has.
  pools_.use(std::move(staged_), preparation);
  proxy_.listen(std::move(listeners_), drain);
  pools_.retireRest();
  // New workers find the newest views only, whose strategies have lanes for them.
  proxy_.setWorkers(workers_, drain);
  proxy_.lookAtTimeouts();
}

}  // namespace lemonade::app
