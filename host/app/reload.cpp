// SPDX-License-Identifier: MIT
//
// How a configuration takes effect, at the start and again: prepare everything aside, then commit. Whatever can fail
// does so before the first change, so a reload is applied as a whole or not at all; workers never wait for it.
#include "app/difference.h"
#include "app/load_balancer.h"
#include "base/log.h"
#include "config/change.h"
#include "process/worker_count.h"

#include <algorithm>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;
constexpr Duration kOldAdminGrace = 500ms;

Result<std::vector<Address>> parseAddresses(const std::vector<config::Listen>& listens) {
  std::vector<Address> addresses;
  for (const auto& listen : listens) {
    const auto address = Address::parse(listen.address);
    if (!address) return Error{listen.source.text() + ": " + listen.address + " is no numeric address with a port"};
    addresses.push_back(*address);
  }
  return addresses;
}

// Of what was said before, an operator wants to hear again only where it may be why a reload is refused.
void logFindings(const Preparation& preparation) {
  for (const auto& finding : preparation.findings) {
    if (preparation.ok() && preparation.repeated.contains(finding.text)) continue;
    finding.severity == config::Severity::kError ? log::error("config", finding.line())
                                                 : log::warning("config", finding.source.text() + ": " + finding.text);
  }
}

std::vector<std::string> linesOf(const std::vector<config::Finding>& findings) {
  std::vector<std::string> lines;
  for (const auto& finding : findings) lines.push_back(finding.line());
  return lines;
}

std::vector<std::string> withRemarks(std::vector<std::string> lines, const FileContent& file) {
  if (!file.again) lines.push_back(std::string("the configuration ") + kReadOnce);
  return lines;
}

std::string addressOf(const config::Config& config) { return config.admin ? config.admin->address : ""; }

/// What a reload changes, also where only the code of a plugin did.
std::vector<std::string> changes(const Running& running, const Preparation& preparation) {
  auto lines = differences(running.config, preparation.config);
  const auto& now = preparation.config;
  if (preparation.strategy && config::sameChoice(running.config.strategy, now.strategy))
    lines.push_back("strategy " + now.strategy.id + ": new code, version " + preparation.strategy->info().version);
  if (preparation.checker && config::sameChoice(running.config.health.checker, now.health.checker))
    lines.push_back("health.checker " + now.health.checker.id + ": new code, version " +
                    preparation.checker->info().version);
  for (const auto& sink : preparation.sinks)
    if (running.sink_hashes.count(sink.info().id) != 0 && running.sink_hashes.at(sink.info().id) != sink.info().hash)
      lines.push_back("sink " + sink.info().id + ": new code, version " + sink.info().version);
  return lines;
}

}  // namespace

Reloaded LoadBalancer::reload(const std::string& reason, const FileContent& file) {
  const std::uint64_t began_ns = nowNs();
  Running before;
  const auto look = [&] {
    before = running();
    descriptors_.look(kDescriptorsToTryPlugins);
  };
  if (!loop_.run(look)) return {false, {"the balancer is stopping"}};
  Preparation preparation = prepare(input_, file, context_, &before);
  const auto refuse = [&](std::vector<std::string> lines) {
    log::error("config", "reload refused, the running configuration stays", {{"reason", reason}});
    reloads_failed_.fetch_add(1);
    discard(preparation, loop_);
    return Reloaded{false, std::move(lines)};
  };

  logFindings(preparation);
  // Also the warnings: a plugin that is missing may be one that was skipped.
  if (!preparation.ok()) return refuse(linesOf(preparation.findings));
  auto lines = changes(before, preparation);
  if (lines.empty()) {
    log::info("config", "nothing to reload, the content is the same", {{"reason", reason}});
    return {true, withRemarks({"nothing changed"}, file)};
  }
  Status status = Error{"the balancer is stopping"};
  loop_.run([&] {
    if (stopping()) return;
    serve();
    status = commitOrSay(preparation);
  });
  if (!status) {
    log::error("config", status.error().message);
    return refuse({status.error().message});
  }
  for (const auto& line : lines) log::info("config", line);
  reloads_applied_.fetch_add(1);
  log::info("config", "reloaded",
            {{"reason", reason}, {"generation", generation()}, {"took_ms", (nowNs() - began_ns) / 1'000'000}});
  return {true, withRemarks(std::move(lines), file)};
}

Running LoadBalancer::running() const {
  Running running;
  running.config = config_;
  running.strategy_hash = pool_.strategy()->info().hash;
  if (checker_ != nullptr) running.checker_hash = checker_->info().hash;
  running.export_state = [this] { return pool_.strategy()->exportState(); };
  for (const auto& [id, sink] : sinks_) running.sink_hashes[id] = sink->info().hash;
  running.names = membership_.names();
  return running;
}

// Control thread. Where memory or a thread cannot be had in the middle of it, what was taken over stays, and the next
// reload takes over everything once more.
Status LoadBalancer::commitOrSay(Preparation& preparation) {
  config::Config before = config_;
  Status status = success();
  try {
    status = commit(preparation);
  } catch (const std::exception& e) {
    config_ = std::move(before);
    status = Error{std::string("cannot take over the whole configuration: ") + e.what() + "; reload once more"};
  }
  if (!status) (void)proxy_.reap();
  return status;
}

// Control thread. Everything that can fail comes before the line; nothing has changed until then.
Status LoadBalancer::commit(Preparation& preparation) {
  const auto& config = preparation.config;
  const std::uint32_t workers = workerCount(config);
  if (auto added = pool_.addWorkers(workers); !added) return added;
  if (auto prepared = proxy_.prepareWorkers(workers); !prepared) return prepared;
  auto strategy = pool_.strategy();
  if (preparation.strategy) {
    auto made = Strategy::make(std::move(*preparation.strategy), pool_.workers());
    if (!made) return std::move(made).error();
    if (strategy == nullptr) made = withHandedState(std::move(made).value(), config.strategy);
    if (!made) return std::move(made).error();
    if (strategy != nullptr)
      if (auto taken = made.value()->takeOver(*strategy); !taken) return taken;
    strategy = std::move(made).value();
  }
  auto addresses = parseAddresses(config.proxy.listen);
  if (!addresses) return std::move(addresses).error();
  auto listeners = proxy_.open(addresses.value(), config.proxy.backlog, parent_.inherited);
  if (!listeners) return std::move(listeners).error();
  auto admin = admin_;
  if (addressOf(config) != addressOf(config_)) {
    admin = config.admin ? makeAdmin(config) : nullptr;
    if (admin != nullptr)
      if (auto started = admin->start(config.admin->address, parent_.inherited); !started) return started;
  }
  // ---- from here on nothing fails, unless memory is out ----
  config_ = config;
  applySettings(config);
  pool_.setStrategy(std::move(strategy));
  proxy_.listen(std::move(listeners).value());
  proxy_.tuneListeners(config.proxy.backlog);
  // Before the backends: it says what new ones count as.
  monitor_.configure({config.health.interval, config.health.timeout, config.health.rise, config.health.fall,
                      config.health.fast_interval, config.health.down_interval, config.health.initial,
                      config.health.hasChecker()});
  membership_.configure(config.backends, preparation.resolutions, config.proxy.resolve_interval);
  // New workers find the newest view only, whose strategy has lanes for them.
  proxy_.setWorkers(workers, proxy::drainTime(config.runtime.drain_timeout));
  ejector_.configure({config.ejection.enabled, config.ejection.consecutive_failures, config.ejection.base_time,
                      config.ejection.max_time, config.ejection.max_share, config.ejection.unanswered_timeout,
                      config.health.rise});
  checks_.store(config.health.hasChecker(), std::memory_order_relaxed);
  if (!config.health.hasChecker()) {
    monitor_.setChecker(nullptr);
    checker_.reset();
  } else if (preparation.checker) {
    checker_ = std::make_shared<const plugin::CheckerInstance>(std::move(*preparation.checker));
    monitor_.setChecker(checker_);
  }
  applySinks(preparation);
  if (admin != admin_) {
    // The request that asked for this reload may still be answered by the old one.
    if (admin_ != nullptr) loop_.post([old = admin_] { (void)old->stop(kOldAdminGrace); });
    admin_ = std::move(admin);
  }
  if (admin_ != nullptr) admin_->allow(config.admin_hosts);
  holdSockets();
  show();
  watcher_->configure(config_.runtime.config_watch_interval, pluginSearchPath(config_));
  return success();
}

void LoadBalancer::applySettings(const config::Config& config) {
  if (generation_.load() != 0) log::start(config.log_levels, config.log_format);
  watchdog_.setBound(config.runtime.accept_timeout);
  descriptors_.configure(config);
  auto& settings = proxy_.settings();
  settings.connect_timeout_ns.store(static_cast<std::uint64_t>(config.proxy.connect_timeout.count()));
  settings.idle_timeout_ns.store(static_cast<std::uint64_t>(config.proxy.idle_timeout.count()));
  const auto seconds = [](Duration value) {
    return static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::seconds>(value).count());
  };
  settings.half_close_timeout_ns.store(static_cast<std::uint64_t>(config.proxy.half_close_timeout.count()));
  settings.keepalive_idle_s.store(seconds(config.proxy.tcp_keepalive));
  settings.keepalive_interval_s.store(seconds(config.proxy.tcp_keepalive_interval));
  settings.keepalive_count.store(config.proxy.tcp_keepalive_count);
  settings.user_timeout_ms.store(static_cast<std::uint32_t>(config.proxy.tcp_user_timeout / 1ms));
  settings.retries.store(config.proxy.retries);
  settings.queue_timeout_ns.store(static_cast<std::uint64_t>(config.proxy.queue_timeout.count()));
  pool_.setRules({config.health.panic_threshold, {config.health.slow_start, config.health.slow_start_aggression}});
}

void LoadBalancer::applySinks(Preparation& preparation) {
  std::map<std::string, metrics::SinkHandle> sinks;
  for (auto& sink : preparation.sinks) {
    const std::string id = sink.info().id;
    sinks[id] = std::make_shared<plugin::SinkInstance>(std::move(sink));
  }
  preparation.sinks.clear();
  std::vector<metrics::SinkHandle> ordered;
  for (const auto& choice : preparation.config.metrics.sinks) {
    auto& sink = sinks[choice.id];
    if (sink == nullptr) sink = sinks_.at(choice.id);
    ordered.push_back(sink);
  }
  sinks_ = std::move(sinks);
  const auto& runtime = preparation.config.runtime;
  publisher_.configure({preparation.config.metrics.interval, runtime.metrics_cap, runtime.health_cap},
                       std::move(ordered));
}

// What status shows; it answers on other threads, from a copy.
void LoadBalancer::show() {
  auto shown = std::make_shared<Shown>();
  shown->config_file = config_.file;
  shown->plugins.push_back({"strategy", pool_.strategy()->info()});
  plugin::Info no_checker;
  no_checker.id = config::Health::kNone;
  shown->plugins.push_back({"health_checker", checker_ != nullptr ? checker_->info() : no_checker});
  for (const auto& choice : config_.metrics.sinks)
    shown->plugins.push_back({"metrics_sink", sinks_.at(choice.id)->info()});
  for (const auto& listener : proxy_.listeners()) shown->listeners.push_back(listener->address().text());
  generation_.fetch_add(1);
  shown->generation = generation();
  const std::lock_guard lock(shown_mutex_);
  shown_ = std::move(shown);
}

}  // namespace lemonade::app
