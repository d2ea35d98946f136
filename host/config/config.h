// SPDX-License-Identifier: MIT
//
// The configuration as plain data: what file, environment and command line come to, with every default filled in.
// config/lemonade.toml documents each key for operators.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "config/network.h"
#include "config/words.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace lemonade::config {

using namespace std::chrono_literals;

/// Where something was said: a file with line and column, or a file-like name ("LEMONADE_LB_STRATEGY", "--plugin-dir")
/// with line 0.
struct Source {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  /// "file:line:column", or just the name.
  std::string text() const;
};

/// The value of a plugin's option as written; the plugin layer checks it against the plugin's schema.
struct OptionValue {
  std::string key;
  std::variant<bool, std::int64_t, double, std::string> value;
  Source source;
};
using OptionTable = std::vector<OptionValue>;

/// A plugin chosen by id, with its options.
struct PluginChoice {
  std::string id;
  Source source;  ///< of the id
  OptionTable options;
};

/// Whether a supervisor runs the balancer; auto: unless a service manager has handed over the sockets.
enum class Supervisor { kAuto, kOn, kOff };

template <>
inline constexpr std::array kWords<Supervisor> = {"auto", "on", "off"};

/// When plugins are tried in a process of their own before they are used.
enum class PreflightWhen { kAlways, kReload, kOff };

template <>
inline constexpr std::array kWords<PreflightWhen> = {"always", "reload", "off"};

struct Runtime {
  std::uint32_t workers = 0;                  ///< 0: one for each core
  Supervisor supervisor = Supervisor::kAuto;  ///< chosen at start
  std::uint32_t metrics_cap = 10'000;
  std::uint32_t health_cap = 1'000;
  std::uint32_t records_cap = 50'000;
  std::uint32_t age_cap = 6;  ///< intervals of metrics
  Duration grace = 0s;        ///< between the 503 of /readyz and the end of the listeners, at a stop
  Duration drain_timeout = 30s;
  Duration background_timeout = 10s;
  Duration accept_timeout = 60s;
  Duration config_watch_interval = 5s;
  std::string zone;  ///< the balancer's own; "": nobody said
};

/// How bytes are moved; auto: over io_uring where the kernel offers it.
enum class Relay { kAuto, kEpoll, kUring };

template <>
inline constexpr std::array kWords<Relay> = {"auto", "epoll", "io_uring"};

struct Backend {
  std::string id;          ///< integers are kept as text
  std::string name;        ///< the id where none is given
  std::string host;        ///< numeric, a name, or a service; see HostPort
  std::uint16_t port = 0;  ///< 0: of a service
  std::uint32_t weight = 1;
  std::uint32_t max_connections = 0;  ///< 0: no limit
  std::uint32_t priority = 0;         ///< its tier: a higher one serves what the lower ones cannot
  bool enabled = true;
  std::string zone = {};  ///< where it runs; "": nobody said
  std::map<std::string, std::string> labels = {};
  OptionTable options = {};    ///< for the strategy, which says what there are
  Source source = {};          ///< of the table
  Source address_source = {};  ///< of its address
};

/// What a backend counts as until checks have said something of it.
enum class Initial {
  kUp,
  kDown,   ///< takes as many checks as any that is down
  kCheck,  ///< takes no clients until its first check, which decides alone
};

template <>
inline constexpr std::array kWords<Initial> = {"up", "down", "check"};

/// Which PROXY header backends are sent first.
enum class SendProxy { kOff, kV1, kV2 };

template <>
inline constexpr std::array kWords<SendProxy> = {"off", "v1", "v2"};

/// Whether quiet sessions are closed so that their clients spread evenly.
enum class Rebalance { kOff, kQuiet };

template <>
inline constexpr std::array kWords<Rebalance> = {"off", "quiet"};

/// Which one checks send: that of the pool, or another.
enum class CheckProxy { kPool, kOff, kV1, kV2 };

template <>
inline constexpr std::array kWords<CheckProxy> = {"pool", "off", "v1", "v2"};

struct Health {
  /// The id in place of a plugin's that has no backend checked.
  static constexpr const char* kNone = "none";

  PluginChoice checker;
  Initial initial = Initial::kUp;
  Duration interval = 5s;
  Duration fast_interval = 0s;  ///< 0: a fifth of interval, at least 100 ms
  Duration down_interval = 0s;  ///< 0: interval
  Duration timeout = 2s;
  std::uint32_t rise = 2;
  std::uint32_t fall = 3;
  Duration slow_start = 10s;         ///< 0: off
  double slow_start_aggression = 1;  ///< see SlowStart
  double panic_threshold = 0;        ///< a share of the backends; 0: never
  std::string address;               ///< numeric without a port, or a Unix socket, for checks; "": that of the backend
  std::uint32_t port = 0;            ///< for checks; 0: that of the address
  CheckProxy send_proxy = CheckProxy::kPool;
  bool close_sessions_when_down = false;

  bool hasChecker() const { return checker.id != kNone; }
};

/// Passive health: what sessions say about a backend; see health/ejector.h.
struct Ejection {
  bool enabled = true;
  std::uint32_t consecutive_failures = 3;
  Duration base_time = 10s;
  Duration max_time = 5min;
  double max_share = 0.5;
  Duration unanswered_timeout = 2s;
  double failing_share = 0;  ///< 0: nobody is judged by it
  double slow_factor = 0;    ///< the same
};

/// An address to listen on.
struct Listen {
  std::string address;  ///< "0.0.0.0:8080", "[::]:8080", "unix:/run/a.sock": numeric with a port, or a Unix socket
  Source source;
};

/// Which versions of the PROXY header clients of a listener must send first.
enum class AcceptProxy { kOff, kV1, kV2, kBoth };

template <>
inline constexpr std::array kWords<AcceptProxy> = {"off", "v1", "v2", "v1+v2"};

/// Who moves the bytes of a listener's connections.
enum class Forward { kRelay, kKernel };

template <>
inline constexpr std::array kWords<Forward> = {"relay", "kernel"};

/// Whose address backends see where the kernel forwards.
enum class ForwardSource { kMasquerade, kKeep };

template <>
inline constexpr std::array kWords<ForwardSource> = {"masquerade", "keep"};

/// Where clients connect, and what holds for their connections. Its sessions go to the backends of one pool.
struct Listener {
  std::string name = "default";
  std::vector<Listen> addresses;
  std::string pool = "default";  ///< the name of its pool
  std::uint32_t backlog = 4'096;
  std::uint32_t max_connections = 10'000;
  Duration idle_timeout = 1h;         ///< 0: none
  Duration half_close_timeout = 60s;  ///< of a session whose backend is done; 0: none
  Duration tcp_keepalive = 60s;       ///< idle time before the first probe; 0: off
  Duration tcp_keepalive_interval = 10s;
  std::uint32_t tcp_keepalive_count = 5;
  Duration tcp_user_timeout = 0s;  ///< 0: the kernel's own limits
  Forward forward = Forward::kRelay;
  ForwardSource forward_source = ForwardSource::kMasquerade;  ///< where the kernel forwards
  AcceptProxy accept_proxy = AcceptProxy::kOff;
  Duration header_timeout = 5s;       ///< from accept to the end of the PROXY header
  std::vector<Network> trusted;       ///< from where PROXY headers are taken; not empty with accept_proxy
  std::optional<std::uint32_t> mode;  ///< of the files of Unix sockets; none: as the umask has it
  std::string owner;                  ///< of these files: "user", "user:group", ":group"; "": the process
  Source source;                      ///< of its table
};

/// The name of the listener and of the pool that the tables of no other name speak of.
inline constexpr const char* kDefaultName = "default";

/// Backends that stand for each other, and how one of them is chosen, reached and watched.
struct Pool {
  /// The id in place of a strategy's that has nobody asked beside it.
  static constexpr const char* kNoShadow = "none";

  std::string name = "default";
  PluginChoice strategy;
  PluginChoice shadow{kNoShadow, {}, {}};  ///< a strategy that is asked, too, and decides nothing
  std::vector<Backend> backends;
  Health health;
  Ejection ejection;
  Duration connect_timeout = 5s;
  std::uint32_t retries = 2;
  Duration resolve_interval = 10s;
  Duration queue_timeout = 5s;  ///< of clients that wait for a place at a backend; 0: nobody waits
  Rebalance rebalance = Rebalance::kOff;
  Duration max_session_age = 0s;  ///< from which on quiet sessions are closed; 0: none is for its age
  Duration quiet_after = 500ms;   ///< an answered session is quiet once nothing has moved for so long
  SendProxy send_proxy = SendProxy::kOff;
  /// Numeric, without a port: from where backends are connected to; "": the system's choice.
  std::string source_address;
  Source source;  ///< of its table

  bool hasShadow() const { return shadow.id != kNoShadow; }
};

struct Metrics {
  Duration interval = 10s;
  std::vector<PluginChoice> sinks;
  /// [metrics.options.*] by sink, also of sinks that are not in use, with the place of each table.
  std::map<std::string, PluginChoice> options;
};

/// Which pools must be ready, which means that they have a backend that may be picked, for the process to be ready.
struct Ready {
  enum class Pools { kAny, kAll, kNamed };
  Pools pools = Pools::kAny;
  std::vector<std::string> names;  ///< of kNamed, all of which must be ready; not empty there

  bool operator==(const Ready&) const = default;
};

template <>
inline constexpr std::array kWords<Ready::Pools> = {"any", "all", "named"};

template <>
inline constexpr std::array kWords<log::Format> = {"text", "json"};

/// From whom a token is asked who wants to change something over TCP.
enum class TokenRequired { kRemote, kAlways };

template <>
inline constexpr std::array kWords<TokenRequired> = {"remote", "always"};

/// Who may change something through the admin listener, and where else than by TCP.
struct AdminAccess {
  /// In place of a path: where the system has a folder for it; see app/admin_socket.h.
  static constexpr const char* kAuto = "auto";

  std::string socket = kAuto;  ///< the path of a Unix socket; "": none
  std::uint32_t socket_mode = 0600;
  std::string token_file;  ///< its path; "": none
  TokenRequired token_required = TokenRequired::kRemote;
  Source token_file_source;

  bool hasOwnSocket() const { return !socket.empty() && socket != kAuto; }
};

/// Whether calls of plugins that fault are broken off, or end the process with a core dump.
enum class Containment { kOn, kOff };

template <>
inline constexpr std::array kWords<Containment> = {"on", "off"};

/// What is done about plugins that misbehave.
struct Misbehaviour {
  Containment containment = Containment::kOn;
  Duration hang_limit = 2s;  ///< of a call; 0: it may take as long as it wants
  Duration probation = 30s;  ///< after a swap of a strategy; 0: none
};

/// Whether it is timed how long backends take to answer where the kernel forwards.
enum class Exchanges : std::uint8_t { kOff, kOn };

template <>
inline constexpr std::array kWords<Exchanges> = {"off", "on"};

/// What holds for all listeners whose connections the kernel forwards. Table and tag are chosen when the first of them
/// is made.
struct Kernel {
  std::string table = "lemonade";  ///< the nftables table of this balancer, of family inet
  bool keep = false;               ///< at a stop it stays, and goes on to forward
  Exchanges exchanges = Exchanges::kOff;
  std::uint32_t tag = 0x4c4d;  ///< the upper half of the marks of packets and connections
};

struct Config {
  Runtime runtime;
  Relay relay = Relay::kAuto;                                  ///< of the process; chosen at start
  std::vector<Listener> listeners = std::vector<Listener>(1);  ///< at least one; the default one, if any, is the first
  std::vector<Pool> pools = std::vector<Pool>(1);              ///< at least one; the default one, if any, is the first
  Metrics metrics;
  std::optional<Listen> admin;                  ///< none: off
  std::vector<std::string> admin_hosts;         ///< names it is asked by, as "name" or "name:port"
  AdminAccess admin_access;                     ///< who may change something there
  Ready ready;                                  ///< when /readyz answers 200
  std::vector<std::string> plugin_directories;  ///< in the order of search, without the installed ones
  std::string plugin_cache_directory;           ///< of the private copies of plugins; "": chosen by the host
  Misbehaviour misbehaviour;                    ///< of plugins
  Kernel kernel;
  PreflightWhen preflight = PreflightWhen::kAlways;
  log::Levels log_levels;
  log::Format log_format = log::Format::kText;
  std::string file;  ///< the file read, or "" where the environment alone configures
};

/// How many clients at once relays may have, over all listeners: each of these takes descriptors.
inline std::uint64_t relayedClients(const Config& config) {
  std::uint64_t clients = 0;
  for (const auto& listener : config.listeners)
    if (listener.forward == Forward::kRelay) clients += listener.max_connections;
  return clients;
}

/// What a file that says nothing but its backends comes to.
Config defaultConfig();

}  // namespace lemonade::config
