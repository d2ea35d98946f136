// SPDX-License-Identifier: MIT
//
// The keys of the process as a whole: what no listener and no pool has of its own.
#include "config/file_mode.h"
#include "config/host_port.h"
#include "config/keys.h"
#include "config/limits.h"
#include "config/values.h"

#include <algorithm>
#include <utility>

namespace lemonade::config {
namespace {

constexpr std::uint32_t kMaxWorkers = 1'024;
constexpr std::uint32_t kMaxQueue = 10'000'000;
constexpr std::uint32_t kMaxAge = 1'000;
constexpr std::size_t kLongestTable = 64;

std::vector<Key<Runtime>> runtimeKeys() {
  using K = Key<Runtime>;
  return {
      K("workers", integer(&Runtime::workers, 0, kMaxWorkers), "threads that move bytes; 0 = one for each core",
        "threads that move bytes; 0 means one for each core that this process may run on. A quota of CPU time, as "
        "containers have, is not seen: set it there"),
      K("supervisor", choice(&Runtime::supervisor),
        R"(a small parent process keeps the sockets and upgrades: "on", "off"; auto: on, unless sockets were handed over)",
        "whether a small parent process holds the listening sockets, starts the balancer again where it dies, and "
        "[upgrades](upgrade.md) it. `auto`: yes, unless a service manager has handed over the sockets. Chosen when the "
        "balancer starts")
          .variable("LEMONADE_LB_SUPERVISOR")
          .from("start"),
      K("metrics_cap", integer(&Runtime::metrics_cap, 1, kMaxQueue),
        "metric events that wait for a slow sink; then the oldest are dropped and counted",
        "series that wait, in whole snapshots, for a slow sink; beyond it the oldest snapshots are dropped and their "
        "series counted. A backend has up to 18 series")
          .variable("LEMONADE_LB_METRICS_CAP"),
      K("health_cap", integer(&Runtime::health_cap, 1, kMaxQueue),
        "health events that wait; then the oldest are dropped and counted",
        "health events that wait; beyond it the oldest are dropped and counted, and checks go on")
          .variable("LEMONADE_LB_HEALTH_CAP"),
      K("records_cap", integer(&Runtime::records_cap, 1, kMaxQueue),
        "session records that wait; then the oldest are dropped and counted",
        "records of sessions that wait, a thousand at a time, for a slow sink such as [`access_log`](access-log.md); "
        "beyond it the oldest are dropped and counted")
          .variable("LEMONADE_LB_RECORDS_CAP"),
      K("age_cap", integer(&Runtime::age_cap, 1, kMaxAge),
        "intervals of [metrics] that any of these waits; then it is dropped and counted",
        "intervals of `[metrics]` that snapshots, health events and session records wait for a slow sink; what has "
        "waited for longer is dropped and counted")
          .variable("LEMONADE_LB_AGE_CAP"),
      K("grace_millis", millis(&Runtime::grace, 0s, kDay),
        "at a stop /readyz turns 503 so long before the listeners close, for what stands in front",
        "at a stop `/readyz` turns 503 so long before the listeners close, [for what stands in "
        "front](deployment.md#stopping); `accept_timeout_millis` counts from the signal")
          .variable("LEMONADE_LB_GRACE_MS"),
      K("drain_timeout_millis", millis(&Runtime::drain_timeout, 0s, kDay),
        "how long live connections may go on when stopping, or when a backend is removed",
        "how long live connections may go on at a stop, and on a removed backend; what is left is closed spread over "
        "its last fifth")
          .variable("LEMONADE_LB_DRAIN_TIMEOUT_MS"),
      K("background_timeout_millis", millis(&Runtime::background_timeout, 0s, kDay),
        "how long checks, sinks and the admin listener get to end when stopping",
        "how long checks, sinks and the admin listener get to end at a stop")
          .variable("LEMONADE_LB_BACKGROUND_TIMEOUT_MS"),
      K("accept_timeout_millis", millis(&Runtime::accept_timeout, 0s, kDay),
        "bounds the whole stop, whatever hangs; shorter than the drain, it cuts the drain short",
        "bounds the whole stop, whatever hangs; 0 ends at once; shorter than the drain, it cuts the drain short, which "
        "is a warning")
          .variable("LEMONADE_LB_ACCEPT_TIMEOUT_MS"),
      K("config_watch_interval_millis", millis(&Runtime::config_watch_interval, kShortest, kDay),
        "how often this file is compared with what runs", "how often the file is compared with what runs")
          .variable("LEMONADE_LB_CONFIG_WATCH_INTERVAL_MS"),
      K("zone", zone(&Runtime::zone), "where this balancer runs; \"\" = not known",
        "where this balancer runs: strategies with `zone_aware` prefer [backends of the same zone](balancing.md#zones)")
          .variable("LEMONADE_LB_ZONE"),
  };
}

// ---- metrics -------------------------------------------------------------------------------------------------------

std::vector<std::string> sinkIds(const Metrics& metrics) {
  std::vector<std::string> ids;
  for (const auto& sink : metrics.sinks) ids.push_back(sink.id);
  return ids;
}

void readSinks(const Item& item, Metrics& metrics) {
  std::vector<PluginChoice> sinks;
  item.eachElement([&sinks](const Item& element) {
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

void readSinkOptions(const Item& item, Metrics& metrics) {
  if (!item.isTable()) return item.refuse("give a table for each sink: [metrics.options.<sink>]");
  item.eachEntry([&metrics](const std::string& sink, const Item& options) {
    metrics.options[sink] = {sink, options.source, optionsOf(options)};
  });
}

/// Of the sinks in use, those that have options, each with the names of its options.
std::vector<std::string> sinkOptions(const Metrics& metrics) {
  std::vector<std::string> shown;
  for (const auto& sink : metrics.sinks)
    if (!sink.options.empty()) shown.push_back(sink.id + " " + show(sink.options));
  return shown;
}

std::vector<std::string> changesOfSinkOptions(const std::string&, const Metrics& before, const Metrics& after) {
  std::vector<std::string> lines;
  for (const auto& sink : after.sinks)
    for (const auto& known : before.sinks) {
      auto changes = changesOfOptions("sink", known, sink);
      lines.insert(lines.end(), changes.begin(), changes.end());
    }
  return lines;
}

std::vector<Key<Metrics>> metricsKeys() {
  using K = Key<Metrics>;
  auto options =
      valueOf<Metrics>("table of tables", "what each plugin publishes", Form::kText, sinkOptions, readSinkOptions);
  options.special = changesOfSinkOptions;
  options.same = [](const Metrics& a, const Metrics& b) { return changesOfSinkOptions("", a, b).empty(); };
  return {
      K("interval", duration(&Metrics::interval, kShortest, kDay), "between two deliveries to sinks that are pushed to",
        "between two deliveries to sinks that are pushed to")
          .variable("LEMONADE_LB_METRICS_INTERVAL_MS"),
      K("sinks", valueOf<Metrics>("list of strings", "ids of metrics sink plugins", Form::kList, sinkIds, readSinks),
        "prometheus (GET /metrics), log, statsd, otlp, access_log, or yours",
        "who hears about metrics: `prometheus`, `log`, `statsd`, `otlp`, [`access_log`](access-log.md), or yours; `[]` "
        "means nobody"),
      K("options", std::move(options), "",
        "`[metrics.options.<sink>]`, an id with dots in quotes: `[metrics.options.\"com.example.x\"]`; options for a "
        "sink that is not in `sinks` are a warning")
          .fallback("none"),
  };
}

// ---- admin, plugins, log -------------------------------------------------------------------------------------------

std::string adminAddress(const Config& config) { return config.admin ? config.admin->address : ""; }

void readAdmin(const Item& item, Config& config) {
  if (item.text() == "") {
    config.admin.reset();
  } else if (auto address = listenAddressOf(item, parseListenAddress)) {
    config.admin = Listen{std::move(*address), item.source};
  }
}

void readAdminHosts(const Item& item, Config& config) {
  std::vector<std::string> hosts;
  item.eachElement([&hosts](const Item& element) {
    const auto text = textOf(element, "give a list of names, such as [\"lb.example\"]");
    if (!text) return;
    auto host = parseHostName(*text);
    host.ok() ? hosts.push_back(std::move(host).value()) : element.refuse(host.error().message);
  });
  config.admin_hosts = std::move(hosts);
}

// An abstract name has no file to say who may connect.
void readAdminSocket(const Item& item, AdminAccess& access) {
  const auto text = item.text().value_or("?");
  const bool is_path = text.starts_with('/') && parseListenerAddress(std::string(kUnixPrefix) + text).ok();
  if (!text.empty() && text != AdminAccess::kAuto && !is_path)
    return item.refuse(
        "give the whole path of a Unix socket, such as \"/run/lemonade/admin.sock\", \"auto\", or \"\" for none");
  access.socket = text;
}

void readSocketMode(const Item& item, AdminAccess& access) {
  const auto text = item.text();
  const auto mode = text ? parseFileMode(*text) : std::nullopt;
  if (!mode) return item.refuse("give the mode as text of octal digits, such as \"0660\"");
  access.socket_mode = *mode;
}

std::string socketModeOf(const AdminAccess& access) { return fileModeText(access.socket_mode); }

void readTokenFile(const Item& item, AdminAccess& access) {
  access.token_file_source = item.source;
  if (item.text() == "") return access.token_file.clear();
  if (auto text = textOf(item, "give the path of a file that holds tokens, or \"\" for none"))
    access.token_file = std::move(*text);
}

void readReady(const Item& item, Config& config) {
  if (const auto word = item.text()) {
    if (word == "any") config.ready = {Ready::Pools::kAny, {}};
    if (word == "all") config.ready = {Ready::Pools::kAll, {}};
    if (word == "any" || word == "all") return;
  }
  Ready ready{Ready::Pools::kNamed, {}};
  bool list = !item.text() && !item.isEmptyList();
  item.eachElement([&](const Item& element) {
    const auto name = element.text();
    list = list && name && !name->empty();
    if (list) ready.names.push_back(*name);
  });
  if (!list) return item.refuse("give \"any\", \"all\" or a list of pools, such as [\"web\"]");
  config.ready = std::move(ready);
}

void readDirectories(const Item& item, Config& config) {
  std::vector<std::string> directories;
  item.eachElement([&directories](const Item& element) {
    if (auto text = textOf(element, "give a list of directories")) directories.push_back(std::move(*text));
  });
  config.plugin_directories = std::move(directories);
}

void readCacheDirectory(const Item& item, Config& config) {
  if (item.text() == "") return config.plugin_cache_directory.clear();
  if (auto text = textOf(item, "give a directory, or \"\" to let the balancer choose"))
    config.plugin_cache_directory = std::move(*text);
}

void readLevel(const Item& item, Config& config) {
  const auto text = textOf(item, "give a level such as \"info\" or \"info,health=debug\"");
  if (!text) return;
  auto levels = log::parseLevels(*text);
  if (!levels.ok()) return item.findings.error(item.source, item.path + ": " + levels.error().message);
  config.log_levels = std::move(levels).value();
}

std::vector<Key<AdminAccess>> adminAccessKeys() {
  using K = Key<AdminAccess>;
  return {
      K("socket",
        valueOf<AdminAccess>("string", "an absolute path, `\"auto\"` or `\"\"`", Form::kText, &AdminAccess::socket,
                             readAdminSocket),
        R"(the same by a Unix socket, which the command line asks first; auto: in the folder that systemd makes; "" = off)",
        "a Unix socket that answers the same, and that `lemonade status` and the [other commands](command-line.md) ask "
        "first: whoever may write to its file may change everything. `auto`: `admin.sock` in `$RUNTIME_DIRECTORY`, "
        "which "
        "systemd sets, else in `/run/lemonade` where that folder is there and may be written to, else none; `\"\"` "
        "means "
        "off")
          .variable("LEMONADE_LB_ADMIN_SOCKET", "set but empty means off"),
      K("socket_mode", valueOf<AdminAccess>("string", "octal digits", Form::kText, socketModeOf, readSocketMode),
        R"(of its file: who may ask by it; "0660" adds the group of the balancer)",
        "the mode of its file: `\"0600\"` lets the user of the balancer and root ask, `\"0660\"` its group, too")
          .variable("LEMONADE_LB_ADMIN_SOCKET_MODE"),
      K("token_file",
        valueOf<AdminAccess>("string", "a file, relative to the file", Form::kText, &AdminAccess::token_file,
                             readTokenFile),
        R"(tokens, one a line, for those who change something from another machine; "" = nobody there may)",
        "[tokens](admin-access.md#tokens), one a line, `TOKEN` or `NAME: TOKEN`: who sends one may change something "
        "also "
        "from another machine; without a file nobody there may. It is read again when it changes")
          .variable("LEMONADE_LB_ADMIN_TOKEN_FILE"),
      K("token_required", choice(&AdminAccess::token_required),
        R"(who needs one: "remote" = other machines; "always" = this one, too, behind a proxy on it, say)",
        "who needs a token to change something: `remote`: who comes from another machine; `always`: also who comes "
        "from "
        "this one by TCP, which [a proxy on it](admin-access.md#behind-a-proxy) makes of everybody. The Unix socket "
        "needs none")
          .variable("LEMONADE_LB_ADMIN_TOKEN_REQUIRED"),
  };
}

std::vector<Key<Config>> adminKeys() {
  using K = Key<Config>;
  return {
      K("listen_address", valueOf<Config>("string", "as in `[proxy]`, or `\"\"`", Form::kText, adminAddress, readAdmin),
        R"(/metrics, /healthz, /readyz, /api/v1/status, /api/v1/config; "" = off. Whoever reaches it may read)",
        "where `/metrics`, `/healthz`, `/readyz`, `/api/v1/status`, `/api/v1/config`, `POST /api/v1/reload` "
        "and others answer; "
        "`\"\"` means off. Whoever reaches it may read; who may change something, as by a reload, "
        "[is said by the keys below](admin-access.md)")
          .variable("LEMONADE_LB_ADMIN_ADDRESS", "set but empty means off"),
      K("hosts",
        valueOf<Config>("list of strings", "names, `\"lb.example\"` for any port or `\"lb.example:9090\"`", Form::kList,
                        &Config::admin_hosts, readAdminHosts),
        R"(names it answers to besides its addresses and localhost: ["lb.example"])",
        "what clients may call it in the `Host` header besides its addresses and `localhost`; a request by any other "
        "name is refused with 403 ([why](deployment.md#the-admin-listener))")
          .variable("LEMONADE_LB_ADMIN_HOSTS", "separated by commas"),
      K("ready",
        valueOf<Config>("string or list", "`any`, `all`, or names of pools", Form::kText, &Config::ready, readReady),
        R"(pools that must have a backend for /readyz to answer 200: "any" of them, "all", or all of a list: ["web"])",
        "when `/readyz` answers 200: `\"any\"` where one pool has a backend that may be picked, `\"all\"` where each "
        "has, `[\"web\", \"db\"]` where each of these has. Its answer names the pools that are not ready"),
  };
}

std::vector<Key<Config>> pluginsKeys() {
  using K = Key<Config>;
  return {
      K("directories",
        valueOf<Config>("list of strings", "directories, relative to the file", Form::kList,
                        &Config::plugin_directories, readDirectories),
        "searched before the installed ones; relative to this file", "searched for plugins before the installed ones"),
      K("cache_directory",
        valueOf<Config>("string",
                        "a directory that allows execution, relative to the file; it is made where it is missing",
                        Form::kText, &Config::plugin_cache_directory, readCacheDirectory),
        R"(for the private copies of plugins; "" = $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR or the temporary directory. )"
        "It must allow execution",
        "holds the private copies that plugins are loaded from; a change concerns those made from then on; where it "
        "cannot be used, as with `\"\"`, `$RUNTIME_DIRECTORY`, else `$XDG_RUNTIME_DIR`, else the temporary directory "
        "serves, [and else memory](deployment.md#systemd)"),
      K("preflight", choice(&Config::preflight),
        R"(when a plugin is tried in a process of its own before it is used: "always", "reload" = not at a start, "off")",
        "when a plugin that is new or has new options is [tried in a process of its "
        "own](hot-swap.md#what-a-preflight-finds) before it is used: `always`, `reload`: at reloads and by "
        "`--validate`, not at a start, or `off`")
          .variable("LEMONADE_LB_PREFLIGHT"),
  };
}

std::vector<Key<Misbehaviour>> misbehaviourKeys() {
  using K = Key<Misbehaviour>;
  return {
      K("containment", choice(&Misbehaviour::containment),
        R"("off": a plugin that faults ends the process, with a core dump where the system is set up for one)",
        "whether a call of a plugin that faults, ends the process or hangs is [broken off](containment.md). `off`: it "
        "ends the process, with a core dump where the system is set up for one"),
      K("hang_limit", duration(&Misbehaviour::hang_limit, 0s, 1h),
        "a call of a plugin that takes longer is broken off; \"0s\": none is",
        "a call of a plugin that takes longer is [broken off](containment.md#a-call-that-hangs), and meanwhile holds "
        "up "
        "whatever its thread does; `\"0s\"` means that none is"),
      K("probation", duration(&Misbehaviour::probation, 0s, kDay),
        "a new strategy is judged by its picks for so long, and taken back where it fares badly; \"0s\": never",
        "for so long after a swap a strategy is judged by [what its picks come to](containment.md#probation), and the "
        "one before is taken back where it fares badly; `\"0s\"` means never"),
  };
}

void readTable(const Item& item, Kernel& kernel) {
  const auto text = item.text().value_or("");
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
  };
  const bool starts_well = !text.empty() && text.front() != '_' && !(text.front() >= '0' && text.front() <= '9');
  if (!starts_well || text.size() > kLongestTable || !std::all_of(text.begin(), text.end(), allowed))
    return item.refuse("give a name of letters, digits and '_' that begins with a letter, such as \"lemonade\"");
  kernel.table = text;
}

std::vector<Key<Kernel>> kernelKeys() {
  using K = Key<Kernel>;
  return {
      K("table", valueOf<Kernel>("string", "letters, digits and `_`", Form::kText, &Kernel::table, readTable),
        "the nftables table (inet) of this balancer; each balancer of a machine needs its own",
        "the nftables table, of family `inet`, of this balancer. Two balancers in one network namespace need two, and "
        "two tags")
          .from("start"),
      K("keep", boolean(&Kernel::keep), "true: the table stays at a stop, and the kernel goes on to forward by weights",
        "whether the table [stays at a stop](kernel-forwarding.md#without-the-balancer): connections go on, and new "
        "ones are spread by weights, until the next start takes both over"),
      K("tag", integer(&Kernel::tag, 1, 0xffff), "the upper 16 bits of the packet and connection marks that it uses",
        "the upper 16 bits of the marks of packets and of connections by which the table knows its own; the default is "
        "0x4c4d. What else marks packets on this machine must use other ones")
          .from("start"),
      K("exchanges", choice(&Kernel::exchanges),
        R"("on": a program in the kernel times answers, so that strategies learn from them)",
        "whether a program in the kernel [times how long backends take to answer](kernel-forwarding.md#exchanges), so "
        "that strategies and metrics know it as they do of relays. It needs Linux 6.4, CAP_BPF and CAP_PERFMON"),
  };
}

std::vector<Key<Config>> logKeys() {
  using K = Key<Config>;
  return {
      K("level",
        valueOf<Config>("string", "`error`, `warn`, `info`, `debug`", Form::kText, &Config::log_levels, readLevel),
        R"(error, warn, info or debug; by component: "info,health=debug")",
        "what is logged; `\"info,health=debug\"` sets the level of a component apart")
          .variable("LEMONADE_LOG"),
      K("format", choice(&Config::log_format), R"(or "json": one object a line)",
        "text for people, or one JSON object a line")
          .variable("LEMONADE_LOG_FORMAT"),
  };
}

Key<Config> relayKey() {
  return Key<Config>("relay", choice(&Config::relay),
                     R"(how bytes are moved: "io_uring", "epoll"; auto takes the former where it can)",
                     "how bytes are moved. `io_uring` needs Linux 6.1 and permission, which containers often withhold; "
                     "where it cannot be had the log says why and `epoll` takes its place. `auto` tries the former. "
                     "Chosen when the balancer starts or is [upgraded](upgrade.md), not at a reload ([what each "
                     "costs](performance.md))")
      .variable("LEMONADE_LB_RELAY")
      .from("start or upgrade");
}

std::vector<Key<Config>> makeProcessKeys() {
  std::vector<Key<Config>> all;
  const auto add = [&all](const auto& keys, const char* section, auto part) {
    for (const auto& key : keys) all.push_back(key.template within<Config>(section, part));
  };
  const auto whole = [](auto& config) -> auto& { return config; };
  add(
      runtimeKeys(), "runtime", [](auto& config) -> auto& { return config.runtime; });
  add(std::vector{relayKey()}, "proxy", whole);
  add(
      metricsKeys(), "metrics", [](auto& config) -> auto& { return config.metrics; });
  add(adminKeys(), "admin", whole);
  add(
      adminAccessKeys(), "admin", [](auto& config) -> auto& { return config.admin_access; });
  add(pluginsKeys(), "plugins", whole);
  add(
      misbehaviourKeys(), "plugins", [](auto& config) -> auto& { return config.misbehaviour; });
  add(
      kernelKeys(), "kernel", [](auto& config) -> auto& { return config.kernel; });
  add(logKeys(), "log", whole);
  return all;
}

}  // namespace

const std::vector<Key<Config>>& processKeys() {
  static const auto& keys = *new std::vector<Key<Config>>(makeProcessKeys());
  return keys;
}

}  // namespace lemonade::config
