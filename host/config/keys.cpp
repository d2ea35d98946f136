// SPDX-License-Identifier: MIT
#include "config/keys.h"

#include "config/host_port.h"

#include <algorithm>
#include <array>
#include <utility>

namespace lemonade::config {
namespace {

constexpr std::uint32_t kMaxWorkers = 1'024;
constexpr std::uint32_t kMaxQueue = 10'000'000;
constexpr std::uint32_t kMaxConnections = 10'000'000;
constexpr std::uint32_t kMaxWeight = 65'535;
constexpr std::uint32_t kMaxPriority = 255;
constexpr Duration kDay = 24h;
constexpr Duration kShortest = 10ms;             // of what is done again and again
constexpr Duration kDefaultKeepalive = 60s;      // of tcp_keepalive = true
constexpr Duration kLongestKeepalive = 32'767s;  // MAX_TCP_KEEPIDLE of Linux, include/net/tcp.h

/// What a key of the configuration is for.
using ConfigField = Field<Draft, Config>;

/// Lets the field of a part of the configuration stand in the whole; `part` gives the part of a Config, const or not.
template <class Part, class Whole>
Field<Draft, Config> within(Whole part, Field<Part> field) {
  return {[part, read = std::move(field.read)](const Item& item, Draft& draft) { read(item, part(draft.config)); },
          [part, changes = std::move(field.changes)](const auto& name, const auto& before, const auto& after) {
            return changes(name, part(before), part(after));
          }};
}

template <class Section>
ConfigField of(Section Config::*section, Field<Section> field) {
  return within(
      [section](auto& config) -> auto& { return config.*section; }, std::move(field));
}

ConfigField of(Field<Config> field) {
  return within(
      [](auto& config) -> auto& { return config; }, std::move(field));
}

/// A key of the default listener.
ConfigField ofListener(Field<Listener> field) {
  return within(
      [](auto& config) -> auto& { return config.listeners.front(); }, std::move(field));
}

/// A key of the default pool.
ConfigField ofPool(Field<Pool> field) {
  return within(
      [](auto& config) -> auto& { return config.pools.front(); }, std::move(field));
}

/// A key of a section of the default pool.
template <class Section>
ConfigField ofPool(Section Pool::*section, Field<Section> field) {
  return within(
      [section](auto& config) -> auto& { return config.pools.front().*section; }, std::move(field));
}

std::optional<std::string> pluginId(const Item& item) {
  return textOf(item, "give the id of a plugin, such as \"round_robin\"");
}

void readStrategy(const Item& item, PluginChoice& strategy) {
  if (auto id = pluginId(item)) {
    strategy.id = std::move(*id);
    strategy.source = item.source;
  }
}

/// A duration that takes the place of another one, or 0 to leave that alone.
Field<Health> replacement(Duration Health::*member) {
  return field<Health>(member, [member](const Item& item, Health& health) {
    const auto value = durationOf(item, 0s, kDay);
    if (!value) return;
    if (*value != 0s && *value < kShortest) return item.refuse("give at least 10ms, or \"0s\" for the default");
    health.*member = *value;
  });
}

void readChecker(const Item& item, Health& health) {
  if (auto id = pluginId(item)) health.checker = {std::move(*id), item.source, std::move(health.checker.options)};
}

/// Calls read for each element of a list, or for the value itself where it is no list.
template <class Visit>
void eachElement(const Item& item, Visit visit) {
  if (const auto* list = item.node.as_array()) {
    for (const auto& child : *list) visit(item.element(child));
  } else {
    visit(item);
  }
}

std::optional<std::string> listenAddressOf(const Item& item) {
  const auto text = textOf(item, "give an address to listen on, such as \"0.0.0.0:8080\" or \"[::]:8080\"");
  if (!text) return std::nullopt;
  auto address = parseListenAddress(*text);
  if (address.ok()) return std::move(address).value();
  item.refuse(address.error().message);
  return std::nullopt;
}

void readListen(const Item& item, Listener& listener) {
  std::vector<Listen> listen;
  const auto* list = item.node.as_array();
  if (list != nullptr && list->empty()) item.refuse("give at least one address");
  eachElement(item, [&listen](const Item& element) {
    if (auto address = listenAddressOf(element)) listen.push_back({std::move(*address), element.source});
  });
  if (!listen.empty()) listener.addresses = std::move(listen);
}

void readAdmin(const Item& item, Draft& draft) {
  if (item.node.value_exact<std::string>() == "") {
    draft.config.admin.reset();
  } else if (auto address = listenAddressOf(item)) {
    draft.config.admin = Listen{std::move(*address), item.source};
  }
}

void readAdminHosts(const Item& item, Draft& draft) {
  std::vector<std::string> hosts;
  eachElement(item, [&hosts](const Item& element) {
    const auto text = textOf(element, "give a list of names, such as [\"lb.example\"]");
    if (!text) return;
    auto host = parseHostName(*text);
    host.ok() ? hosts.push_back(std::move(host).value()) : element.refuse(host.error().message);
  });
  draft.config.admin_hosts = std::move(hosts);
}

void readKeepalive(const Item& item, Listener& listener) {
  if (const auto on = item.node.value_exact<bool>()) {
    listener.tcp_keepalive = *on ? kDefaultKeepalive : Duration::zero();
  } else if (const auto idle = durationOf(item, 0s, kLongestKeepalive)) {
    if (*idle % 1s == 0s) {
      listener.tcp_keepalive = *idle;
    } else {
      item.refuse("give whole seconds, true or false");
    }
  }
}

template <Duration Listener::*Value>
void readWholeSeconds(const Item& item, Listener& listener) {
  const auto value = durationOf(item, 1s, kLongestKeepalive);
  if (value && *value % 1s != 0s) return item.refuse("give whole seconds");
  if (value) listener.*Value = *value;
}

/// One of a few words: what each choice is called in the file.
template <class Section, class Choice>
Field<Section> choice(Choice Section::*member, const char* (*text)(Choice), std::array<Choice, 3> choices) {
  return field<Section>(member, [=](const Item& item, Section& section) {
    const auto said = item.node.value_exact<std::string>();
    for (const Choice one : choices)
      if (said == text(one)) {
        section.*member = one;
        return;
      }
    const auto quoted = [text](Choice one) { return "\"" + std::string(text(one)) + "\""; };
    item.refuse("give " + quoted(choices[0]) + ", " + quoted(choices[1]) + " or " + quoted(choices[2]));
  });
}

void readSinks(const Item& item, Metrics& metrics) {
  std::vector<PluginChoice> sinks;
  eachElement(item, [&sinks](const Item& element) {
    auto id = textOf(element, "give a list of the ids of metrics sinks, such as [\"prometheus\"]");
    if (!id) return;
    const bool again = std::any_of(sinks.begin(), sinks.end(), [&id](const auto& sink) { return sink.id == *id; });
    if (again) {
      element.refuse("name each sink once");
    } else {
      sinks.push_back({std::move(*id), element.source, {}});
    }
  });
  metrics.sinks = std::move(sinks);
}

OptionTable optionsOf(const Item& item) {
  OptionTable options;
  const auto* table = item.node.as_table();
  if (table == nullptr) {
    item.refuse("give a table of options: [" + item.path + "]");
    return options;
  }
  for (const auto& [key, node] : *table) {
    const std::string name(key.str());
    const Item option{item.path + "." + name, node, item.element(node).source, item.findings};
    const auto add = [&](auto scalar) { options.push_back({name, std::move(scalar), option.source}); };
    if (const auto boolean = node.value_exact<bool>()) {
      add(*boolean);
    } else if (const auto integer = node.value_exact<std::int64_t>()) {
      add(*integer);
    } else if (const auto number = node.value_exact<double>()) {
      add(*number);
    } else if (auto text = node.value_exact<std::string>()) {
      add(std::move(*text));
    } else {
      option.refuse("give a string, a number, true or false");
    }
  }
  return options;
}

void readStrategyOptions(const Item& item, PluginChoice& strategy) { strategy.options = optionsOf(item); }

void readCheckerOptions(const Item& item, Health& health) { health.checker.options = optionsOf(item); }

void readSinkOptions(const Item& item, Draft& draft) {
  const auto* table = item.node.as_table();
  if (table == nullptr) return item.refuse("give a table for each sink: [metrics.options.<sink>]");
  for (const auto& [sink, node] : *table) {
    const std::string id(sink.str());
    const auto source = item.element(node).source;
    draft.sink_options[id] = {source, optionsOf({item.path + "." + id, node, source, item.findings})};
  }
}

void readDirectories(const Item& item, Draft& draft) {
  std::vector<std::string> directories;
  eachElement(item, [&](const Item& element) {
    if (const auto text = textOf(element, "give a list of directories")) {
      directories.push_back((draft.directory / *text).lexically_normal().string());
    }
  });
  draft.config.plugin_directories = std::move(directories);
}

void readCacheDirectory(const Item& item, Draft& draft) {
  if (item.node.value_exact<std::string>() == "") return draft.config.plugin_cache_directory.clear();
  if (const auto text = textOf(item, "give a directory, or \"\" to let the balancer choose")) {
    draft.config.plugin_cache_directory = (draft.directory / *text).lexically_normal().string();
  }
}

void readLevel(const Item& item, Draft& draft) {
  const auto text = textOf(item, "give a level such as \"info\" or \"info,health=debug\"");
  if (!text) return;
  auto levels = log::parseLevels(*text);
  if (!levels.ok()) return item.findings.error(item.source, item.path + ": " + levels.error().message);
  draft.config.log_levels = std::move(levels).value();
}

void readFormat(const Item& item, Draft& draft) {
  const auto text = item.node.value_exact<std::string>();
  if (text == "text" || text == "json") {
    draft.config.log_format = text == "json" ? log::Format::kJson : log::Format::kText;
  } else {
    item.refuse("give \"text\" or \"json\"");
  }
}

void readBackendId(const Item& item, Backend& backend) {
  if (const auto number = item.node.value_exact<std::int64_t>()) {
    backend.id = std::to_string(*number);
  } else if (auto text = textOf(item, "give an integer or a string that is not empty")) {
    backend.id = std::move(*text);
  }
}

void readBackendName(const Item& item, Backend& backend) {
  if (auto text = textOf(item, "give a string that is not empty")) backend.name = std::move(*text);
}

void readBackendAddress(const Item& item, Backend& backend) {
  backend.address_source = item.source;
  const auto text = textOf(item, "give \"host:port\" or \"srv:_service._tcp.name\"");
  if (!text) return;
  auto address = parseBackendAddress(*text);
  if (!address.ok()) return item.refuse(address.error().message);
  backend.host = std::move(address.value().host);
  backend.port = address.value().port;
}

// ---- what differs --------------------------------------------------------------------------------------------------

std::vector<std::string> listenAddresses(const Listener& listener) {
  std::vector<std::string> addresses;
  for (const auto& listen : listener.addresses) addresses.push_back(listen.address);
  return addresses;
}

std::vector<std::string> sinkIds(const Metrics& metrics) {
  std::vector<std::string> ids;
  for (const auto& sink : metrics.sinks) ids.push_back(sink.id);
  return ids;
}

std::string adminAddress(const Config& config) { return config.admin ? config.admin->address : ""; }

std::string backendAddress(const Backend& backend) { return addressText(backend.host, backend.port); }

std::vector<std::string> changesOfStrategy(const std::string&, const PluginChoice& before, const PluginChoice& after) {
  return changesOf<PluginChoice>(&PluginChoice::id)("strategy", before, after);
}

std::vector<std::string> changesOfStrategyOptions(const std::string&, const PluginChoice& before,
                                                  const PluginChoice& after) {
  return changesOfOptions("strategy", before, after);
}

std::vector<std::string> changesOfChecker(const std::string& name, const Health& before, const Health& after) {
  return changesOf<PluginChoice>(&PluginChoice::id)(name, before.checker, after.checker);
}

std::vector<std::string> changesOfCheckerOptions(const std::string&, const Health& before, const Health& after) {
  return changesOfOptions("health.checker", before.checker, after.checker);
}

std::vector<std::string> changesOfSinkOptions(const std::string&, const Config& before, const Config& after) {
  std::vector<std::string> lines;
  for (const auto& sink : after.metrics.sinks)
    for (const auto& known : before.metrics.sinks) {
      auto changes = changesOfOptions("sink", known, sink);
      lines.insert(lines.end(), changes.begin(), changes.end());
    }
  return lines;
}

template <class Target, class Whole>
Field<Target, Whole> from(const char* when, Field<Target, Whole> field) {
  return {std::move(field.read), remarked(std::move(field.changes), std::string(", from the next ") + when + " on")};
}

// ---- the keys ------------------------------------------------------------------------------------------------------

std::vector<ConfigKey> makeConfigKeys() {
  const auto runtime = [](const char* name, Field<Runtime> field) {
    return ConfigKey{"runtime", name, of(&Config::runtime, std::move(field))};
  };
  const auto listener = [](const char* name, Field<Listener> field) {
    return ConfigKey{"proxy", name, ofListener(std::move(field))};
  };
  const auto pool = [](const char* name, Field<Pool> field) {
    return ConfigKey{"proxy", name, ofPool(std::move(field))};
  };
  const auto strategy = [](const char* name, Field<PluginChoice> field) {
    return ConfigKey{"strategy", name, ofPool(&Pool::strategy, std::move(field))};
  };
  const auto health = [](const char* name, Field<Health> field) {
    return ConfigKey{"health", name, ofPool(&Pool::health, std::move(field))};
  };
  const auto ejection = [](const char* name, Field<Ejection> field) {
    return ConfigKey{"ejection", name, ofPool(&Pool::ejection, std::move(field))};
  };
  const auto metrics = [](const char* name, Field<Metrics> field) {
    return ConfigKey{"metrics", name, of(&Config::metrics, std::move(field))};
  };
  return {
      runtime("workers", integer(&Runtime::workers, 0, kMaxWorkers)),
      runtime("supervisor", from("start", choice(&Runtime::supervisor, supervisorText,
                                                 {Supervisor::kAuto, Supervisor::kOn, Supervisor::kOff}))),
      runtime("metrics_cap", integer(&Runtime::metrics_cap, 1, kMaxQueue)),
      runtime("health_cap", integer(&Runtime::health_cap, 1, kMaxQueue)),
      runtime("grace_millis", duration(&Runtime::grace, 0s, kDay)),
      runtime("drain_timeout_millis", duration(&Runtime::drain_timeout, 0s, kDay)),
      runtime("background_timeout_millis", duration(&Runtime::background_timeout, 0s, kDay)),
      runtime("accept_timeout_millis", duration(&Runtime::accept_timeout, 0s, kDay)),
      runtime("config_watch_interval_millis", duration(&Runtime::config_watch_interval, kShortest, kDay)),
      listener("listen_address", field<Listener>(listenAddresses, readListen)),
      listener("backlog", integer(&Listener::backlog, 1, 65'535)),
      listener("max_connections", integer(&Listener::max_connections, 1, kMaxConnections)),
      pool("connect_timeout", duration(&Pool::connect_timeout, 1ms, 1h)),
      listener("idle_timeout", duration(&Listener::idle_timeout, 0s, 30 * kDay)),
      listener("half_close_timeout", duration(&Listener::half_close_timeout, 0s, 30 * kDay)),
      listener("tcp_keepalive", field<Listener>(&Listener::tcp_keepalive, readKeepalive)),
      listener("tcp_keepalive_interval",
               field<Listener>(&Listener::tcp_keepalive_interval, readWholeSeconds<&Listener::tcp_keepalive_interval>)),
      listener("tcp_keepalive_count", integer(&Listener::tcp_keepalive_count, 1, 127)),
      listener("tcp_user_timeout", duration(&Listener::tcp_user_timeout, 0s, kDay)),
      pool("retries", integer(&Pool::retries, 0, 15)),
      pool("resolve_interval", duration(&Pool::resolve_interval, kShortest, kDay)),
      pool("queue_timeout", duration(&Pool::queue_timeout, 0s, 1h)),
      {"proxy", "relay",
       from("start or upgrade", of(choice(&Config::relay, relayText, {Relay::kAuto, Relay::kEpoll, Relay::kUring})))},
      strategy("algorithm", {readStrategy, changesOfStrategy}),
      strategy("options", {readStrategyOptions, changesOfStrategyOptions}),
      health("checker", {readChecker, changesOfChecker}),
      health("initial", choice(&Health::initial, initialText, {Initial::kUp, Initial::kDown, Initial::kCheck})),
      health("interval", duration(&Health::interval, kShortest, kDay)),
      health("fast_interval", replacement(&Health::fast_interval)),
      health("down_interval", replacement(&Health::down_interval)),
      health("timeout", duration(&Health::timeout, 1ms, 1h)),
      health("rise", integer(&Health::rise, 1, 1'000)),
      health("fall", integer(&Health::fall, 1, 1'000)),
      health("slow_start", duration(&Health::slow_start, 0s, kDay)),
      health("slow_start_aggression", number(&Health::slow_start_aggression, 0.1, 100)),
      health("panic_threshold", number(&Health::panic_threshold, 0, 1)),
      health("close_sessions_when_down", boolean(&Health::close_sessions_when_down)),
      health("options", {readCheckerOptions, changesOfCheckerOptions}),
      ejection("enabled", boolean(&Ejection::enabled)),
      ejection("consecutive_failures", integer(&Ejection::consecutive_failures, 1, 1'000'000)),
      ejection("base_time", duration(&Ejection::base_time, 1ms, 1h)),
      ejection("max_time", duration(&Ejection::max_time, 1ms, kDay)),
      ejection("max_share", number(&Ejection::max_share, 0, 1)),
      ejection("unanswered_timeout", duration(&Ejection::unanswered_timeout, kShortest, 1h)),
      metrics("interval", duration(&Metrics::interval, kShortest, kDay)),
      metrics("sinks", field<Metrics>(sinkIds, readSinks)),
      {"metrics", "options", {readSinkOptions, changesOfSinkOptions}},
      {"admin", "listen_address", {readAdmin, changesOf<Config>(adminAddress)}},
      {"admin", "hosts", {readAdminHosts, changesOf<Config>(&Config::admin_hosts)}},
      {"plugins", "directories", {readDirectories, changesOf<Config>(&Config::plugin_directories)}},
      {"plugins", "cache_directory", {readCacheDirectory, changesOf<Config>(&Config::plugin_cache_directory)}},
      {"log", "level", {readLevel, changesOf<Config>(&Config::log_levels)}},
      {"log", "format", {readFormat, changesOf<Config>(&Config::log_format)}},
  };
}

}  // namespace

const std::vector<ConfigKey>& configKeys() {
  static const auto& keys = *new std::vector<ConfigKey>(makeConfigKeys());
  return keys;
}

const std::vector<BackendKey>& backendKeys() {
  static const auto& keys = *new std::vector<BackendKey>{
      {"backends", "id", field<Backend>(&Backend::id, readBackendId)},
      {"backends", "name", field<Backend>(&Backend::name, readBackendName)},
      {"backends", "address", field<Backend>(backendAddress, readBackendAddress)},
      {"backends", "weight", integer(&Backend::weight, 0, kMaxWeight)},
      {"backends", "max_connections", integer(&Backend::max_connections, 0, kMaxConnections)},
      {"backends", "enabled", boolean(&Backend::enabled)},
      {"backends", "priority", integer(&Backend::priority, 0, kMaxPriority)},
  };
  return keys;
}

const ConfigKey& configKey(std::string_view path) {
  return *std::find_if(configKeys().begin(), configKeys().end(),
                       [path](const ConfigKey& key) { return key.path() == path; });
}

std::vector<std::string> knownPaths() {
  std::vector<std::string> paths;
  for (const auto& key : configKeys()) paths.push_back(key.path());
  for (const auto& key : backendKeys()) paths.push_back(key.path());
  return paths;
}

}  // namespace lemonade::config
