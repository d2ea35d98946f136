// SPDX-License-Identifier: MIT
#include "simulation/balancer.h"

#include "balance/feedback.h"

#include <algorithm>
#include <cstring>

namespace lemonade::sim {

namespace {

constexpr std::uint32_t kRise = 2;
constexpr std::uint32_t kFall = 3;
constexpr std::uint32_t kDoubts = 3;
constexpr std::uint64_t kBaseNs = 10'000'000'000;
constexpr std::uint64_t kLateNs = 2'000'000'000;
constexpr std::uint8_t kMappedIpv4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

Balancer::Balancer(const Scenario& scenario, std::uint32_t number, std::shared_ptr<Strategy> strategy,
                   std::uint64_t now_ns) {
  for (std::uint32_t i = 0; i < scenario.servers; ++i) {
    const std::string id = "s" + std::to_string(i);
    config::Backend settings;
    settings.id = settings.name = id;
    settings.host = "127.0.0.1";
    settings.weight = scenario.weights.empty() ? 1 : scenario.weights[i];
    if (!scenario.zones.empty()) settings.zone = scenario.zones[i];
    backends_.push_back(std::make_shared<Backend>(settings, *Address::parse("127.0.0.1:80"), 1));
    servers_[backends_.back().get()] = i;
    states_.emplace_back(kRise, kFall);
  }
  evidence_.resize(backends_.size());
  ejections_.resize(backends_.size());
  outliers_.configure(scenario.outliers);
  pool_.setStrategy(std::move(strategy));
  if (!scenario.own_zones.empty()) pool_.setZone(scenario.own_zones[number]);
  pool_.setRules({0, {Duration(static_cast<std::int64_t>(scenario.slow_start * 1e9)), 1}});
  pool_.setBackends(backends_);
  publish(now_ns);
}

Picked Balancer::pick(const Tried& tried, std::uint32_t client, std::uint64_t random, std::uint64_t now_ns) {
  lemonade_connection_t connection{};
  connection.struct_size = sizeof(connection);
  connection.attempt = static_cast<std::uint32_t>(tried.get().size());
  connection.now_ns = now_ns;
  connection.random = random;
  connection.client_family = LEMONADE_FAMILY_IPV4;
  std::memcpy(connection.client_address, kMappedIpv4, sizeof(kMappedIpv4));
  std::memcpy(connection.client_address + sizeof(kMappedIpv4), &client, sizeof(client));
  const Picked picked = pool_.pick(connection, tried);
  if (picked.invalid) ++invalid_;
  return picked;
}

void Balancer::tell(std::uint32_t type, const Picked& picked, std::uint64_t value_ns,
                    std::uint64_t now_ns) const noexcept {
  if (!pool_.wants(type)) return;
  lemonade_strategy_event_t event{};
  event.struct_size = sizeof(event);
  event.type = type;
  event.backend_identity = picked.backend->identity();
  event.cookie = picked.cookie;
  event.now_ns = now_ns;
  event.value_ns = value_ns;
  pool_.tell(0, event, picked.generation);
}

void Balancer::check(std::uint32_t server, bool passed, std::uint64_t now_ns) {
  if (backends_[server]->setHealth(states_[server].observe(passed), "simulated")) publish(now_ns);
}

// As health::Ejector, but for what it does with hanging backends, with its defaults.
std::optional<std::uint64_t> Balancer::doubt(std::uint32_t server, std::uint64_t now_ns) {
  Backend& backend = *backends_[server];
  feedback::doubted(backend, Backend::Failure::kReset);
  const auto outcomes = backend.takeOutcomes(0);
  evidence_[server].add(outcomes);
  if (outliers_.weigh(backend, outcomes, now_ns)) return eject(server, now_ns);
  if (!evidence_[server].convicts() || !backend.fit()) {
    if (feedback::doubts(backend) >= kDoubts) backend.setSuspected(true);
    return std::nullopt;
  }
  return eject(server, now_ns);
}

std::uint64_t Balancer::eject(std::uint32_t server, std::uint64_t now_ns) {
  Backend& backend = *backends_[server];
  backend.setEjected(true, "simulated");
  backend.setSuspected(false);
  publish(now_ns);
  return kBaseNs * ++ejections_[server];
}

void Balancer::answered(std::uint32_t server) {
  Backend& backend = *backends_[server];
  if (backend.trial() != nullptr && !outliers_.suspects(backend)) backend.setSuspected(false);
}

// As health::Ejector, with its default for how many may be out.
std::vector<Balancer::Ejected> Balancer::look(std::uint64_t now_ns) {
  std::size_t taken = 0;
  for (const auto& backend : backends_) taken += backend->ejected() || outliers_.suspects(*backend);
  const std::size_t most = std::max<std::size_t>(1, backends_.size() / 2);
  outliers_.look(backends_, now_ns, taken < most && taken + 1 < backends_.size() ? most - taken : 0);
  std::vector<Ejected> ejected;
  for (std::uint32_t server = 0; server < backends_.size(); ++server) {
    Backend& backend = *backends_[server];
    if (!backend.fit()) continue;
    const auto outcomes = backend.takeOutcomes(now_ns - kLateNs, outliers_.slowSinceNs(backend, now_ns));
    evidence_[server].add(outcomes);
    if (outliers_.weigh(backend, outcomes, now_ns))
      ejected.push_back({server, eject(server, now_ns)});
    else if (outliers_.suspects(backend))
      backend.setSuspected(true, outliers_.slowNs(backend));
    else if (feedback::doubts(backend) < kDoubts)
      backend.setSuspected(false);
  }
  return ejected;
}

void Balancer::letBack(std::uint32_t server, std::uint64_t now_ns) {
  Backend& backend = *backends_[server];
  evidence_[server].forget();
  outliers_.comesBack(backend, now_ns);
  backend.setEjected(false, "");
  backend.setSuspected(true, outliers_.slowNs(backend));
  publish(now_ns);
}

void Balancer::publish(std::uint64_t now_ns) {
  ramping_ = pool_.publish(now_ns);
  (void)quiescence_.reclaim();
  (void)pool_.reclaim();
}

}  // namespace lemonade::sim
