// SPDX-License-Identifier: MIT
//
// How a configuration takes effect, at the start and again: prepare everything aside, then commit. Whatever can fail
// does so before the first change, so a reload is applied as a whole or not at all; workers never wait for it.
#include "admin/access.h"
#include "admin/server.h"
#include "app/admin_sockets.h"
#include "app/configuration_facts.h"
#include "app/difference.h"
#include "app/kernel_forwarding.h"
#include "app/load_balancer.h"
#include "app/log_levels.h"
#include "app/managed_pool.h"
#include "app/parent.h"
#include "app/pool_set.h"
#include "app/preparation.h"
#include "app/shadowing.h"
#include "app/takeover.h"
#include "app/token_file.h"
#include "balance/pool.h"
#include "base/log.h"
#include "config/change.h"
#include "health/checks.h"
#include "metrics/publisher.h"
#include "observe/events.h"
#include "observe/reloads.h"
#include "process/descriptor_keeper.h"
#include "process/watchdog.h"
#include "proxy/proxy.h"
#include "watch/watcher.h"

#include <algorithm>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;
constexpr Duration kOldAdminGrace = 500ms;
constexpr Duration kLeaveCheckerAfter = 1s;  // beyond the limit of a hang
// Reasons of reloads
constexpr std::string_view kChangedFiles = "changed files";
constexpr std::string_view kRequest = "request";
constexpr std::string_view kRelease = "release";

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

/// "" for the default pool, whose keys stand in no table of its own; else "pool web: ".
std::string prefixOf(const config::Pool& pool) {
  return pool.name == Backend::kDefaultPool ? "" : "pool " + pool.name + ": ";
}

/// Plugins of a pool that stay as they are chosen and have new code.
void addNewCode(std::vector<std::string>& lines, const config::Pool& before, const config::Pool& now,
                const PreparedPool& prepared) {
  if (prepared.strategy && config::sameChoice(before.strategy, now.strategy))
    lines.push_back(prefixOf(now) + "strategy " + now.strategy.id + ": new code, version " +
                    prepared.strategy->info().version);
  if (prepared.shadow && config::sameChoice(before.shadow, now.shadow))
    lines.push_back(prefixOf(now) + "shadow " + now.shadow.id + ": new code, version " +
                    prepared.shadow->info().version);
  if (prepared.checker && config::sameChoice(before.health.checker, now.health.checker))
    lines.push_back(prefixOf(now) + "health.checker " + now.health.checker.id + ": new code, version " +
                    prepared.checker->info().version);
}

/// What a reload changes, also where only the code of a plugin did.
std::vector<std::string> changes(const std::vector<Difference>& differences, const Running& running,
                                 const Preparation& preparation) {
  std::vector<std::string> lines;
  for (const auto& difference : differences)
    lines.insert(lines.end(), difference.lines.begin(), difference.lines.end());
  for (const auto& now : preparation.config.pools)
    for (const auto& before : running.config.pools)
      if (before.name == now.name) addNewCode(lines, before, now, preparation.pools.at(now.name));
  for (const auto& pool : preparation.config.pools)
    if (preparation.settled.contains(pool.name))
      lines.push_back(prefixOf(pool) + "strategy " + pool.strategy.id + ": its file has the version again that runs");
  for (const auto& sink : preparation.sinks) {
    const auto& info = sink.info();
    const auto known = running.sink_hashes.find(info.id);  // nothing where the one that was there is broken
    const auto& before = running.config.metrics.sinks;
    const bool was_there =
        std::any_of(before.begin(), before.end(), [&](const auto& choice) { return choice.id == info.id; });
    if (was_there && (known == running.sink_hashes.end() || known->second != info.hash))
      lines.push_back("sink " + info.id + ": new code, version " + info.version);
  }
  return lines;
}

/// What came of a reload, in a line.
std::string sentence(const std::string& reason, const std::string& result, const Reloaded& reloaded,
                     std::uint64_t generation) {
  std::string text = "last reload (" + reason + ") " + result + ", generation " + std::to_string(generation);
  if (!reloaded.applied && !reloaded.lines.empty()) text += ": " + reloaded.lines.front();
  return text;
}

}  // namespace

Reloaded LoadBalancer::reload(const std::string& reason, const FileContent& file, ReloadRecord& record) {
  const std::uint64_t began_ns = nowNs();
  Running before;
  const auto look = [&] {
    before = running();
    descriptors_->expect(kDescriptorsToTryPlugins);
  };
  if (!loop_.run(look)) return {false, {"the balancer is stopping"}};
  Preparation preparation = prepare(*input_, file, context_, &before);
  const auto refuse = [&](std::vector<std::string> lines) {
    log::error("config", "reload refused, the running configuration stays", {{"reason", reason}});
    reloads_failed_.fetch_add(1);
    discard(preparation, loop_);
    return Reloaded{false, std::move(lines)};
  };

  logFindings(preparation);
  noteRefusedPlugins(preparation);
  // Also the warnings: a plugin that is missing may be one that was skipped.
  if (!preparation.ok()) return refuse(linesOf(preparation.findings));
  const auto differences = differencesOf(before.config, preparation.config);
  auto lines = changes(differences, before, preparation);
  // One that only swaps code because a plugin's file has changed is none of the file.
  const bool of_file = (reason != kChangedFiles && reason != kRelease) || !differences.empty();
  if (lines.empty()) {
    if (!preparation.quarantined.empty()) return refuse(preparation.quarantined);
    std::vector<std::string> ended;
    if (of_file) loop_.run([&] { ended = endOverrides(true); });
    log::info("config", "nothing to reload, the content is the same", {{"reason", reason}});
    return {true, withRemarks(ended.empty() ? std::vector<std::string>{"nothing changed"} : ended, file)};
  }
  Status status = Error{"the balancer is stopping"};
  std::vector<std::string> ended;
  preparation.ends_overrides = of_file;
  loop_.run([&] {
    if (stopping()) return;
    serve();
    ended_overrides_.clear();
    status = commitOrSay(preparation);
    ended = std::exchange(ended_overrides_, {});
  });
  if (!status) {
    log::error("config", status.error().message);
    return refuse({status.error().message});
  }
  for (const auto& line : lines) log::info("config", line);
  lines.insert(lines.end(), ended.begin(), ended.end());
  for (const auto& difference : differences)
    record.changes.push_back({difference.key, difference.before, difference.after});
  reloads_applied_.fetch_add(1);
  log::info("config", "reloaded",
            {{"reason", reason}, {"generation", generation()}, {"took_ms", (nowNs() - began_ns) / 1'000'000}});
  return {true, withRemarks(std::move(lines), file)};
}

Reloaded LoadBalancer::reloadOrSay(const std::string& reason, const FileContent& file, ReloadRecord& record) try {
  return reload(reason, file, record);
} catch (const std::exception& e) {
  log::error("config", "reload refused, the running configuration stays", {{"reason", reason}, {"error", e.what()}});
  reloads_failed_.fetch_add(1);
  return {false, {e.what()}};
}

Reloaded LoadBalancer::reloadAndRemember(const std::string& reason, const FileContent& file) {
  const std::uint64_t began_ns = nowNs(), began_unix_ns = unixNs(), before = generation();
  service_manager_.reloading();
  ReloadRecord record;
  auto reloaded = reloadOrSay(reason, file, record);
  // Not waited for: the old admin listener may be stopping, which waits for the answer that this leads to.
  loop_.post([this] { descriptors_->expect(0); });
  const std::uint64_t after = generation();
  const char* result = !reloaded.applied ? "failed" : after == before ? "unchanged" : "applied";
  service_manager_.reloaded(sentence(reason, result, reloaded, after));
  record.status = {result, reason, began_unix_ns, nowNs() - began_ns, after, reloaded.lines};
  remember(std::move(record));
  return reloaded;
}

void LoadBalancer::remember(ReloadRecord record) {
  auto status = std::make_shared<const ReloadStatus>(record.status);
  {
    const std::lock_guard lock(facts_mutex_);
    if (record.status.reason == kRequest) record.by = std::exchange(reload_by_, "");
    last_reload_ = std::move(status);
    reloads_.push_front(record);
    if (reloads_.size() > kReloadsKept) reloads_.pop_back();
  }
  noteReload(record);
}

Running LoadBalancer::running() const {
  Running running;
  running.config = config_;
  for (const auto& pool : pools_->configured()) {
    running.pools.emplace(pool->name(), pool->describe());
    pool->addNames(running.names);
  }
  for (const auto& [id, sink] : sinks_)
    if (!sink->guard().broken() || context_.quarantine.contains(sink->info().hash))
      running.sink_hashes[id] = sink->info().hash;
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
  if (!status) (void)proxy_->reap();
  return status;
}

// Control thread. Everything that can fail comes before the line; nothing has changed until then.
Status LoadBalancer::commit(Preparation& preparation) {
  const auto& config = preparation.config;
  auto takeover = Takeover::stage(preparation, *pools_, *proxy_, parent_.inherited);
  if (!takeover) return std::move(takeover).error();
  if (auto able = kernel_->stage(config); !able) return able;
  auto admin = admin_;
  auto sockets = startAdmin(config, admin);
  if (!sockets) return std::move(sockets).error();
  // ---- from here on nothing fails, unless memory is out ----
  if (preparation.ends_overrides)
    for (const auto& pool : pools_->configured()) pool->endOverrides();
  config_ = config;
  applySettings(config);
  // Before the pools, of which no backend may be one of the listeners.
  own_addresses_ = takeover.value().addresses();
  std::move(takeover).value().use(preparation, proxy::drainTime(nowNs(), config.runtime.drain_timeout));
  kernel_->use(config);
  if (serving_) kernel_->serve(false);
  for (const auto& pool : pools_->configured()) pool->beginProbation(config.misbehaviour.probation);
  applySinks(preparation);
  useAdmin(std::move(admin), std::move(sockets).value());
  token_file_->use(preparation.tokens);
  useTokens(preparation.tokens ? std::move(preparation.tokens->tokens) : admin::Tokens());
  holdSockets();
  tellEarlier();
  show();
  watcher_->configure(config_.runtime.config_watch_interval, pluginSearchPath(config_));
  return success();
}

/// Opens what is to be listened on besides what is, and makes the server where there is none to use it.
Result<AdminSockets> LoadBalancer::startAdmin(const config::Config& config, std::shared_ptr<admin::Server>& admin) {
  auto sockets = openAdminSockets(
      config, admin_ != nullptr ? admin_->sockets() : std::vector<admin::ListeningSocket::Shared>(), parent_.inherited);
  if (!sockets || sockets.value().all.empty() || admin != nullptr) return sockets;
  admin = makeAdmin(config);
  if (auto started = admin->start(std::vector<admin::ListeningSocket::Shared>()); !started)
    return std::move(started).error();
  return sockets;
}

void LoadBalancer::useAdmin(std::shared_ptr<admin::Server> admin, AdminSockets sockets) {
  const auto& why = sockets.without_socket;
  if (!why.empty() && generation_.load() == 0)
    log::info("admin", "no Unix socket for the command line, it has to ask by TCP; [admin] socket gives a path",
              {{"reason", why}});
  admin_ = std::move(admin);
  if (admin_ == nullptr) return;
  applySocketMode(sockets.all, config_.admin_access);
  if (!sockets.all.empty()) return admin_->use(std::move(sockets.all));
  // The request that asked for this reload may still be answered.
  loop_.post([old = std::exchange(admin_, nullptr)] { (void)old->stop(kOldAdminGrace); });
}

void LoadBalancer::useTokens(admin::Tokens tokens) {
  if (admin_ == nullptr) return;
  const auto& access = config_.admin_access;
  admin_->allow(admin::Access(config_.admin_hosts, {std::move(tokens), !access.token_file.empty(),
                                                    access.token_required == config::TokenRequired::kAlways}));
}

void LoadBalancer::applySettings(const config::Config& config) {
  log_levels_->configure(config, generation_.load() == 0);
  watchdog_.setBound(config.runtime.accept_timeout);
  descriptors_->configure(config);
  contain(config);
  const Duration hang_limit = config.misbehaviour.hang_limit;
  context_.call_watch->setLimit(hang_limit);
  checks_->setPatience(hang_limit == Duration::zero() ? hang_limit : hang_limit + kLeaveCheckerAfter);
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
  publisher_->configure({preparation.config.metrics.interval, runtime.metrics_cap, runtime.health_cap,
                         runtime.records_cap, runtime.age_cap},
                        std::move(ordered));
}

// What status shows; it answers on other threads, from a copy.
void LoadBalancer::show() {
  auto facts = std::make_shared<ConfigurationFacts>();
  facts->config = config_;
  facts->plugins = pluginsNow();
  for (const auto& listener : proxy_->listeners()) {
    auto& addresses = facts->addresses[listener->name()];
    for (const auto& socket : listener->sockets()) addresses.push_back(socket->address().text());
  }
  generation_.fetch_add(1);
  facts->generation = generation();
  std::shared_ptr<const ConfigurationFacts> now = std::move(facts), before = now;
  {
    const std::lock_guard lock(facts_mutex_);
    facts_.swap(before);
  }
  markActive();
  noteSwaps(before->plugins, now->plugins);
}

// What runs has changed, but not what is configured.
void LoadBalancer::showPlugins() {
  const std::lock_guard lock(facts_mutex_);
  auto facts = std::make_shared<ConfigurationFacts>(*facts_);
  facts->plugins = pluginsNow();
  facts_ = std::move(facts);
  markActive();
}

std::vector<PluginStatus> LoadBalancer::pluginsNow() const {
  std::vector<PluginStatus> plugins;
  plugin::InstanceInfo no_checker;
  no_checker.id = config::Health::kNone;
  for (const auto& pool : pools_->configured()) {
    const auto* checker = pool->checker();
    plugins.push_back({plugin::kKindOf<lemonade_strategy_t>.name, pool->strategyInfo(), pool->name()});
    if (!pool->standsInFor().empty()) plugins.back().state = "stands_in";
    if (const auto* shadow = pool->shadowing().running(); shadow != nullptr)
      plugins.push_back({"shadow", shadow->info(), pool->name()});
    plugins.push_back({plugin::kKindOf<lemonade_health_checker_t>.name,
                       checker != nullptr ? checker->info() : no_checker, pool->name()});
    if (checker != nullptr && checker->guard().broken()) plugins.back().state = "broken";
  }
  for (const auto& choice : config_.metrics.sinks) {
    const auto& sink = sinks_.at(choice.id);
    plugins.push_back({plugin::kKindOf<lemonade_metrics_sink_t>.name, sink->info(), ""});
    if (sink->guard().broken()) plugins.back().state = "broken";
  }
  return plugins;
}

}  // namespace lemonade::app
