// SPDX-License-Identifier: MIT
#include "app/difference.h"

#include <algorithm>
#include <map>
#include <sstream>

namespace lemonade::app {

namespace {

std::string show(std::uint64_t value) { return std::to_string(value); }
std::string show(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}
std::string show(bool value) { return value ? "true" : "false"; }
std::string show(const std::string& value) { return value.empty() ? "\"\"" : value; }
std::string show(Duration value) {
  const auto ns = value.count();
  if (ns % 1'000'000'000 == 0) return std::to_string(ns / 1'000'000'000) + "s";
  return ns % 1'000'000 == 0 ? std::to_string(ns / 1'000'000) + "ms" : std::to_string(ns / 1'000) + "us";
}
std::string show(const std::vector<std::string>& values) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : ", ") + value;
  return "[" + text + "]";
}
std::string show(log::Level level) {
  constexpr const char* kNames[] = {"error", "warn", "info", "debug"};
  return kNames[static_cast<std::size_t>(level)];
}
std::string show(const log::Levels& levels) {
  std::string text = show(levels.all);
  for (const auto& [component, level] : levels.components) text += "," + component + "=" + show(level);
  return text;
}

class Lines {
 public:
  template <class T>
  void compare(const std::string& name, const T& before, const T& after) {
    if (!(show(before) == show(after))) lines_.push_back(name + " " + show(before) + " -> " + show(after));
  }
  void add(std::string line) { lines_.push_back(std::move(line)); }
  std::vector<std::string> take() && { return std::move(lines_); }

 private:
  std::vector<std::string> lines_;
};

bool sameOptions(const config::OptionTable& a, const config::OptionTable& b) {
  return std::is_permutation(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.key == other.key && one.value == other.value;
  });
}

void comparePlugin(Lines& lines, const std::string& name, const config::PluginChoice& before,
                   const config::PluginChoice& after) {
  lines.compare(name, before.id, after.id);
  if (before.id == after.id && !sameOptions(before.options, after.options)) lines.add(name + " " + after.id + ": options changed");
}

void compareBackend(Lines& lines, const config::Backend& before, const config::Backend& after) {
  const std::string name = "backend " + after.id + ":";
  lines.compare(name + " name", before.name, after.name);
  lines.compare(name + " address", before.host + ":" + show(std::uint64_t{before.port}),
                after.host + ":" + show(std::uint64_t{after.port}));
  lines.compare(name + " weight", std::uint64_t{before.weight}, std::uint64_t{after.weight});
  lines.compare(name + " max_connections", std::uint64_t{before.max_connections}, std::uint64_t{after.max_connections});
  lines.compare(name + " enabled", before.enabled, after.enabled);
  lines.compare(name + " priority", std::uint64_t{before.priority}, std::uint64_t{after.priority});
}

void compareBackends(Lines& lines, const std::vector<config::Backend>& before, const std::vector<config::Backend>& after) {
  std::map<std::string, const config::Backend*> old;
  for (const auto& backend : before) old[backend.id] = &backend;
  for (const auto& backend : after) {
    const auto found = old.find(backend.id);
    if (found == old.end()) {
      lines.add("backend " + backend.id + ": added");
      continue;
    }
    compareBackend(lines, *found->second, backend);
    old.erase(found);
  }
  for (const auto& [id, backend] : old) lines.add("backend " + id + ": removed");
  // Strategies see the backends in this order.
  const auto same_id = [](const auto& one, const auto& other) { return one.id == other.id; };
  if (!std::equal(before.begin(), before.end(), after.begin(), after.end(), same_id) &&
      std::is_permutation(before.begin(), before.end(), after.begin(), after.end(), same_id))
    lines.add("backends: another order");
}

std::vector<std::string> addressesOf(const config::Proxy& proxy) {
  std::vector<std::string> addresses;
  for (const auto& listen : proxy.listen) addresses.push_back(listen.address);
  return addresses;
}

void compareRuntime(Lines& lines, const config::Runtime& before, const config::Runtime& after) {
  lines.compare("runtime.workers", std::uint64_t{before.workers}, std::uint64_t{after.workers});
  lines.compare("runtime.metrics_cap", std::uint64_t{before.metrics_cap}, std::uint64_t{after.metrics_cap});
  lines.compare("runtime.health_cap", std::uint64_t{before.health_cap}, std::uint64_t{after.health_cap});
  lines.compare("runtime.drain_timeout_millis", before.drain_timeout, after.drain_timeout);
  lines.compare("runtime.background_timeout_millis", before.background_timeout, after.background_timeout);
  lines.compare("runtime.accept_timeout_millis", before.accept_timeout, after.accept_timeout);
  lines.compare("runtime.config_watch_interval_millis", before.config_watch_interval, after.config_watch_interval);
}

void compareProxy(Lines& lines, const config::Proxy& before, const config::Proxy& after) {
  lines.compare("proxy.listen_address", addressesOf(before), addressesOf(after));
  lines.compare("proxy.backlog", std::uint64_t{before.backlog}, std::uint64_t{after.backlog});
  lines.compare("proxy.max_connections", std::uint64_t{before.max_connections}, std::uint64_t{after.max_connections});
  lines.compare("proxy.connect_timeout", before.connect_timeout, after.connect_timeout);
  lines.compare("proxy.idle_timeout", before.idle_timeout, after.idle_timeout);
  lines.compare("proxy.tcp_keepalive", before.tcp_keepalive, after.tcp_keepalive);
  lines.compare("proxy.retries", std::uint64_t{before.retries}, std::uint64_t{after.retries});
  lines.compare("proxy.resolve_interval", before.resolve_interval, after.resolve_interval);
  lines.compare("proxy.queue_timeout", before.queue_timeout, after.queue_timeout);
  if (before.relay != after.relay)
    lines.add("proxy.relay " + std::string(relayText(before.relay)) + " -> " + relayText(after.relay) +
              ", from the next start on");
}

void compareHealth(Lines& lines, const config::Health& before, const config::Health& after) {
  comparePlugin(lines, "health.checker", before.checker, after.checker);
  lines.compare("health.interval", before.interval, after.interval);
  lines.compare("health.fast_interval", before.fast_interval, after.fast_interval);
  lines.compare("health.down_interval", before.down_interval, after.down_interval);
  lines.compare("health.timeout", before.timeout, after.timeout);
  lines.compare("health.rise", std::uint64_t{before.rise}, std::uint64_t{after.rise});
  lines.compare("health.fall", std::uint64_t{before.fall}, std::uint64_t{after.fall});
  lines.compare("health.slow_start", before.slow_start, after.slow_start);
  lines.compare("health.slow_start_aggression", before.slow_start_aggression, after.slow_start_aggression);
  lines.compare("health.panic_threshold", before.panic_threshold, after.panic_threshold);
  lines.compare("health.close_sessions_when_down", before.close_sessions_when_down, after.close_sessions_when_down);
}

void compareEjection(Lines& lines, const config::Ejection& before, const config::Ejection& after) {
  lines.compare("ejection.enabled", before.enabled, after.enabled);
  lines.compare("ejection.consecutive_failures", std::uint64_t{before.consecutive_failures},
                std::uint64_t{after.consecutive_failures});
  lines.compare("ejection.base_time", before.base_time, after.base_time);
  lines.compare("ejection.max_time", before.max_time, after.max_time);
  lines.compare("ejection.max_share", before.max_share, after.max_share);
  lines.compare("ejection.unanswered_timeout", before.unanswered_timeout, after.unanswered_timeout);
}

void compareMetrics(Lines& lines, const config::Metrics& before, const config::Metrics& after) {
  lines.compare("metrics.interval", before.interval, after.interval);
  std::vector<std::string> old, now;
  for (const auto& sink : before.sinks) old.push_back(sink.id);
  for (const auto& sink : after.sinks) now.push_back(sink.id);
  lines.compare("metrics.sinks", old, now);
  for (const auto& sink : after.sinks)
    for (const auto& known : before.sinks)
      if (known.id == sink.id) comparePlugin(lines, "sink", known, sink);
}

}  // namespace

bool sameChoice(const config::PluginChoice& a, const config::PluginChoice& b) {
  return a.id == b.id && sameOptions(a.options, b.options);
}

std::vector<std::string> differences(const config::Config& before, const config::Config& after) {
  Lines lines;
  compareRuntime(lines, before.runtime, after.runtime);
  compareProxy(lines, before.proxy, after.proxy);
  comparePlugin(lines, "strategy", before.strategy, after.strategy);
  compareBackends(lines, before.backends, after.backends);
  compareHealth(lines, before.health, after.health);
  compareEjection(lines, before.ejection, after.ejection);
  compareMetrics(lines, before.metrics, after.metrics);
  lines.compare("admin.listen_address", before.admin ? before.admin->address : "", after.admin ? after.admin->address : "");
  lines.compare("plugins.directories", before.plugin_directories, after.plugin_directories);
  lines.compare("plugins.cache_directory", before.plugin_cache_directory, after.plugin_cache_directory);
  lines.compare("log.level", before.log_levels, after.log_levels);
  lines.compare("log.format", std::string(before.log_format == log::Format::kJson ? "json" : "text"),
                std::string(after.log_format == log::Format::kJson ? "json" : "text"));
  return std::move(lines).take();
}

}  // namespace lemonade::app
