// SPDX-License-Identifier: MIT
//
// The keys of a pool: its own, and those of its strategy, its checks and its ejections.
#include "config/host_port.h"
#include "config/keys.h"
#include "config/limits.h"
#include "config/values.h"

#include <arpa/inet.h>

#include <utility>

namespace lemonade::config {
namespace {

std::optional<std::string> pluginId(const Item& item) {
  return textOf(item, "give the id of a plugin, such as \"round_robin\"");
}

/// The path of a key whose last part is another one, or left out where that is "".
std::string withLast(const std::string& path, const std::string& last) {
  const auto parent = path.substr(0, path.rfind('.'));
  return last.empty() ? parent : parent + "." + last;
}

/// "" or an address without a port.
bool isAddress(const std::string& text) {
  in6_addr address;
  const bool whole = text.find('\0') == std::string::npos;
  return text.empty() || (whole && (::inet_pton(AF_INET, text.c_str(), &address) == 1 ||
                                    ::inet_pton(AF_INET6, text.c_str(), &address) == 1));
}

void readSource(const Item& item, Pool& pool) {
  const auto text = item.text();
  if (!text || !isAddress(std::string(*text)))
    return item.refuse("give a numeric address of this machine without a port, such as \"10.0.0.5\"");
  pool.source_address = *text;
}

void readAddress(const Item& item, Health& health) {
  const auto text = item.text();
  if (!text || (!isUnixSocket(*text) && !isAddress(std::string(*text))))
    return item.refuse("give a numeric address without a port, such as \"10.0.0.5\", or \"unix:/path\"");
  if (isUnixSocket(*text))
    if (auto name = parseListenerAddress(*text); !name.ok()) return item.refuse(name.error().message);
  health.address = *text;
}

/// A duration that takes the place of another one, or 0 to leave that alone.
Value<Health> replacement(Duration Health::*member) {
  return valueOf<Health>("duration", "10ms to 24h, or 0", Form::kNumber, member,
                         [member](const Item& item, Health& health) {
                           const auto value = durationOf(item, 0s, kDay);
                           if (!value) return;
                           if (*value != 0s && *value < kShortest)
                             return item.refuse("give at least 10ms, or \"0s\" for the default");
                           health.*member = *value;
                         });
}

/// The id of a plugin; a change is told under the name of the plugin, whose options are another key.
Value<PluginChoice> plugin(std::string range, const std::string& called = "") {
  auto value = valueOf<PluginChoice>("string", std::move(range), Form::kText, &PluginChoice::id,
                                     [](const Item& item, PluginChoice& choice) {
                                       auto id = pluginId(item);
                                       if (!id) return;
                                       choice.id = std::move(*id);
                                       choice.source = item.source;
                                     });
  value.special = [called](const std::string& name, const PluginChoice& before, const PluginChoice& after) {
    if (before.id == after.id) return std::vector<std::string>{};
    return std::vector<std::string>{withLast(name, called) + " " + show(before.id) + " -> " + show(after.id)};
  };
  return value;
}

Value<PluginChoice> options(const std::string& called) {
  const auto names = [](const PluginChoice& choice) { return show(choice.options); };
  auto value = valueOf<PluginChoice>("table", "what the plugin publishes", Form::kText, names,
                                     [](const Item& item, PluginChoice& choice) { choice.options = optionsOf(item); });
  value.same = sameChoice;
  value.special = [called](const std::string& name, const PluginChoice& before, const PluginChoice& after) {
    return changesOfOptions(withLast(name, called), before, after);
  };
  return value;
}

std::vector<Key<PluginChoice>> strategyKeys() {
  using K = Key<PluginChoice>;
  return {
      K("algorithm", plugin("id of a strategy plugin"),
        "round_robin, weighted_round_robin, least_connections, random_two, fastest_response_time, peak_ewma, "
        "consistent_hash, adaptive, or the id of a plugin of yours",
        "who picks the backend: `round_robin`, `weighted_round_robin`, `least_connections`, `random_two`, "
        "`fastest_response_time`, `peak_ewma`, `consistent_hash`, `adaptive`, or yours")
          .variable("LEMONADE_LB_STRATEGY", "options of another algorithm in the file go unused"),
      K("options", options(""), "",
        "`[strategy.options]`: booleans, numbers and strings, checked against the plugin's schema")
          .fallback("none"),
  };
}

std::vector<Key<PluginChoice>> shadowKeys() {
  using K = Key<PluginChoice>;
  return {
      K("algorithm", plugin("id of a strategy plugin"),
        "a second strategy that is asked, too, decides nothing and is only counted; none: there is none",
        "a second strategy, yours too, that is asked beside the one that decides, and [whose answers are only "
        "counted](balancing.md#what-another-strategy-would-do); `\"none\"`: there is none"),
      K("options", options(""), "", "`[shadow.options]`, as those of the strategy").fallback("none"),
  };
}

std::vector<Key<PluginChoice>> checkerKeys() {
  using K = Key<PluginChoice>;
  return {
      K("checker", plugin("id of a health checker plugin", "checker"),
        "tcp, http, send_expect, the id of a plugin of yours, or none: nothing is checked",
        "how a backend is checked: `tcp`, `http`, `send_expect`, or yours ([health checks](health-checks.md)); "
        "`\"none\"`: nothing is checked, and every backend is up"),
      K("options", options("checker"), "", "`[health.options]`").fallback("none"),
  };
}

std::vector<Key<Health>> healthKeys() {
  using K = Key<Health>;
  return {
      K("initial", choice(&Health::initial),
        "what a new backend counts as: up, down, or check: no clients before its first one",
        "what a backend counts as that is new, [until it has been checked](health-checks.md#before-the-first-check): "
        "with `\"check\"` it gets clients after its first good check"),
      K("interval", duration(&Health::interval, kShortest, kDay),
        "between two checks of a backend, spread so that they do not align",
        "between two checks of a backend, spread so that checks do not align")
          .variable("LEMONADE_LB_HEALTH_INTERVAL_MS"),
      K("fast_interval", replacement(&Health::fast_interval),
        R"(the same while a backend changes between up and down; "0s" = a fifth of interval)",
        "the same while a backend is changing: up with a failed check, or down with a good one; 0 means a fifth of "
        "`interval`, but at least 100ms where that is shorter than `interval`"),
      K("down_interval", replacement(&Health::down_interval), R"(and while it is down; "0s" = interval)",
        "the same while a backend is down; 0 means `interval`"),
      K("timeout", duration(&Health::timeout, 1ms, 1h), "a check that takes longer has failed",
        "a check that takes longer has failed")
          .variable("LEMONADE_LB_HEALTH_TIMEOUT_MS"),
      K("rise", integer(&Health::rise, 1, 1'000), "checks that must succeed in a row before a backend counts as up",
        "checks that must succeed in a row before a backend counts as up again"),
      K("fall", integer(&Health::fall, 1, 1'000),
        "checks that must fail in a row before it counts as down; the first ever: one",
        "checks that must fail before it counts as down, each that passes making up for one; a first check that fails "
        "takes it down at once"),
      K("slow_start", duration(&Health::slow_start, 0s, kDay),
        R"(one that joins or recovers has all of its weight after so long; "0s" = at once)",
        "a backend that joins or recovers gets a tenth of its weight at first and all of it after so long; 0 gives it "
        "all at once. `round_robin` knows no weights, and no slow start"),
      K("slow_start_aggression", number(&Health::slow_start_aggression, 0.1, 100),
        "how its weight rises: 1 is a straight line, more rises faster at first",
        "how the weight rises: the share is (time / `slow_start`) to the power of 1 / this; 1 is a straight line, more "
        "rises faster at first"),
      K("panic_threshold", number(&Health::panic_threshold, 0, 1),
        "use all backends where fewer than this share of them is fit; 0 = never",
        "where fewer than this share of the backends [in service](failing-backends.md#who-may-be-picked) is up and not "
        "ejected, all of them are used, since so few would not bear the load of all; 0 means never"),
      K("close_sessions_when_down", boolean(&Health::close_sessions_when_down),
        "true closes the live connections of a backend that goes down",
        "true closes the live connections of a backend that goes down or is ejected, spread over a second"),
  };
}

std::vector<Key<Health>> routeKeys() {
  using K = Key<Health>;
  return {
      K("address",
        valueOf<Health>("string", "numeric address, Unix socket", Form::kText, &Health::address, readAddress),
        R"(numeric, of checks; "" = that of the backend)",
        "where checks connect in the place of the backend's address: numeric without a port, or `\"unix:/path\"`")
          .fallback("that of the backend"),
      K("port", integer(&Health::port, 0, 65'535), "of checks; 0 = that of the backend",
        "the port that checks connect to; 0 means that of the backend"),
      K("send_proxy", choice(&Health::send_proxy),
        "PROXY header that checks send first: pool = as clients' connections do, off, v1, v2",
        "the [PROXY header](proxy-protocol.md#to-backends) that checks send first, LOCAL in version 2; "
        "`\"pool\"` means as `send_proxy` of the pool has it"),
  };
}

std::vector<Key<Ejection>> ejectionKeys() {
  using K = Key<Ejection>;
  return {
      K("enabled", boolean(&Ejection::enabled), "false leaves health to the checks",
        "false leaves health to the checks"),
      K("consecutive_failures", integer(&Ejection::consecutive_failures, 1, 1'000'000),
        "connects in a row that fail; connections without an answer mean a trial",
        "failed connects in a row that eject a backend; as many connections in a row without an answer put it on "
        "trial"),
      K("base_time", duration(&Ejection::base_time, 1ms, 1h),
        "the first ejection, unless checks end it; the n-th in a row is n times as long",
        "how long the first ejection lasts, unless [checks end it](failing-backends.md#ejection); the n-th in a row "
        "lasts n times as long"),
      K("max_time", duration(&Ejection::max_time, 1ms, kDay), "but not longer than this",
        "the longest an ejection lasts")
          .range("1ms to 24h, at least `base_time`"),
      K("max_share", number(&Ejection::max_share, 0, 1), "of the backends that may be out at once; one always may",
        "of the backends, the share that may be ejected at once; one always may"),
      K("unanswered_timeout", duration(&Ejection::unanswered_timeout, kShortest, 1h),
        "after the client's last byte, an answer is missing",
        "an answer that has not begun so long after the client's last byte is missing, if that is ten times longer "
        "than answers take in this pool"),
      K("failing_share", number(&Ejection::failing_share, 0, 1),
        "one that fails so many of its clients, and more than the pool, is put on trial; 0 = never",
        "a backend that fails this share of its clients, and by more than chance a larger one than the pool, is put on "
        "[trial as an outlier](failing-backends.md#outliers); 0 means never"),
      K("slow_factor", number(&Ejection::slow_factor, 0, 1'000),
        "one that takes so many times as long as the pool is put on trial; 0 = never",
        "a backend whose answers take so many times as long as is usual in the pool is put on "
        "[trial as an outlier](failing-backends.md#outliers); 0 means never")
          .range("0, or 2 to 1000"),
  };
}

std::vector<Key<Pool>> ownKeys() {
  using K = Key<Pool>;
  return {
      K("connect_timeout", duration(&Pool::connect_timeout, 1ms, 1h),
        "for connecting to a backend; it says nothing about what comes after",
        "for connecting to a backend; it says nothing about what comes after"),
      K("resolve_interval", duration(&Pool::resolve_interval, kShortest, kDay),
        "how often names of backends are resolved again",
        "how often each name of a backend is resolved again; one that never was, each second. Where that fails the "
        "last "
        "addresses stay in use"),
      K("retries", integer(&Pool::retries, 0, 15),
        "connects after one that fails, at another backend at once, at the same one after a second where no other is "
        "left; 0 closes the client at once",
        "connects after one that fails: at another backend at once; where none is left, at any after a second, or "
        "after "
        "`connect_timeout` if that is shorter; 0 closes the client at once ([failing "
        "backends](failing-backends.md#a-connect-that-fails))"),
      K("send_proxy", choice(&Pool::send_proxy), "PROXY header that backends are sent first: off, v1, v2",
        "the [PROXY header](proxy-protocol.md#to-backends) that names the client to a backend, before all else"),
      K("source_address", valueOf<Pool>("string", "numeric address", Form::kText, &Pool::source_address, readSource),
        R"(address of this machine to connect to backends from; "" = as the system likes)",
        "the address of this machine from which backends of its family, and their checks, are connected to")
          .fallback("as the system likes"),
      K("queue_timeout", duration(&Pool::queue_timeout, 0s, 1h),
        R"(how long a client waits when all backends are full; "0s" closes it at once)",
        "how long a client waits for a place when every backend it could have is at its `max_connections`, first come "
        "first served; then it is closed; 0 closes it at once. Who waits goes on waiting where its place refuses it, "
        "whatever `retries`"),
      K("rebalance", choice(&Pool::rebalance),
        "quiet: close quiet sessions, few at a time, where backends have far too many; clients must reconnect",
        "`\"quiet\"` closes sessions that are answered and quiet, few at a time, [where backends have far more than "
        "their share](rebalancing.md), for clients that reconnect by themselves; not where a server speaks unasked"),
      K("max_session_age", duration(&Pool::max_session_age, 0s, 720h),
        R"(quiet sessions older than four fifths to all of this are closed, too; "0s" = none)",
        "a session is closed as soon as it is quiet at an age between four fifths of this and all of it, another one "
        "for each; 0 means that none is closed [for its age](rebalancing.md#age)"),
      K("quiet_after", duration(&Pool::quiet_after, kShortest, 1h),
        "an answered session on which nothing moved for so long is quiet",
        "how long nothing must have moved on an answered session for it to be quiet; of one whose slowest exchange "
        "took "
        "longer, for as long as that"),
  };
}

template <class Part, class Member>
void append(std::vector<Key<Pool>>& all, const std::vector<Key<Part>>& keys, const char* section, Member part) {
  for (const auto& key : keys) all.push_back(key.template within<Pool>(section, part));
}

std::vector<Key<Pool>> makePoolKeys() {
  auto keys = ownKeys();
  append(
      keys, strategyKeys(), "strategy", [](auto& pool) -> auto& { return pool.strategy; });
  append(
      keys, shadowKeys(), "shadow", [](auto& pool) -> auto& { return pool.shadow; });
  const auto checker = checkerKeys();
  const auto choice = [](auto& pool) -> auto& { return pool.health.checker; };
  append(keys, std::vector{checker.front()}, "health", choice);
  append(
      keys, healthKeys(), "health", [](auto& pool) -> auto& { return pool.health; });
  append(
      keys, routeKeys(), "health", [](auto& pool) -> auto& { return pool.health; });
  append(keys, std::vector{checker.back()}, "health", choice);
  append(
      keys, ejectionKeys(), "ejection", [](auto& pool) -> auto& { return pool.ejection; });
  return keys;
}

}  // namespace

const std::vector<Key<Pool>>& poolKeys() {
  static const auto& keys = *new std::vector<Key<Pool>>(makePoolKeys());
  return keys;
}

}  // namespace lemonade::config
