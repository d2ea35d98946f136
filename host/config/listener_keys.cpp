// SPDX-License-Identifier: MIT
//
// The keys of a listener.
#include "config/file_mode.h"
#include "config/host_port.h"
#include "config/keys.h"
#include "config/limits.h"
#include "config/values.h"

#include <utility>

namespace lemonade::config {
namespace {

constexpr Duration kDefaultKeepalive = 60s;      // of tcp_keepalive = true
constexpr Duration kLongestKeepalive = 32'767s;  // MAX_TCP_KEEPIDLE of Linux, include/net/tcp.h

std::vector<std::string> addressesOf(const Listener& listener) {
  std::vector<std::string> addresses;
  for (const auto& listen : listener.addresses) addresses.push_back(listen.address);
  return addresses;
}

void readAddresses(const Item& item, Listener& listener) {
  std::vector<Listen> addresses;
  if (item.isEmptyList()) item.refuse("give at least one address");
  item.eachElement([&addresses](const Item& element) {
    if (auto address = listenAddressOf(element, parseListenerAddress))
      addresses.push_back({std::move(*address), element.source});
  });
  if (!addresses.empty()) listener.addresses = std::move(addresses);
}

void readKeepalive(const Item& item, Listener& listener) {
  if (const auto on = item.boolean()) {
    listener.tcp_keepalive = *on ? kDefaultKeepalive : Duration::zero();
  } else if (const auto idle = durationOf(item, 0s, kLongestKeepalive)) {
    if (*idle % 1s != 0s) return item.refuse("give whole seconds, true or false");
    listener.tcp_keepalive = *idle;
  }
}

void readTrusted(const Item& item, Listener& listener) {
  std::vector<Network> trusted;
  item.eachElement([&trusted](const Item& element) {
    const auto text = textOf(element, "give networks, such as \"10.0.0.0/8\"");
    if (!text) return;
    auto network = Network::parse(*text);
    network.ok() ? trusted.push_back(std::move(network).value()) : element.refuse(network.error().message);
  });
  listener.trusted = std::move(trusted);
}

std::vector<std::string> trustedOf(const Listener& listener) {
  std::vector<std::string> texts;
  for (const auto& network : listener.trusted) texts.push_back(network.text());
  return texts;
}

/// "0660"; "" where none is set.
std::string modeOf(const Listener& listener) { return listener.mode ? fileModeText(*listener.mode) : ""; }

void readMode(const Item& item, Listener& listener) {
  const auto text = item.text();
  listener.mode.reset();
  if (text && text->empty()) return;
  listener.mode = text ? parseFileMode(*text) : std::nullopt;
  if (!listener.mode) item.refuse("give the mode as text of octal digits, such as \"0660\"");
}

void readOwner(const Item& item, Listener& listener) {
  const auto text = item.text();
  if (!text || *text == ":") return item.refuse("give \"user\", \"user:group\" or \":group\"");
  listener.owner = *text;
}

void readPool(const Item& item, Listener& listener) {
  if (auto pool = textOf(item, "give the name of a pool")) listener.pool = std::move(*pool);
}

Value<Listener> addresses() {
  auto value = valueOf<Listener>("string or list", "numeric address and port, or a Unix socket", Form::kList,
                                 addressesOf, readAddresses);
  value.written = [](const Listener& listener) {
    const auto all = addressesOf(listener);
    return all.size() == 1 ? written(all.front()) : written(all);
  };
  return value;
}

std::vector<Key<Listener>> makeListenerKeys() {
  using K = Key<Listener>;
  return {
      K("address", addresses(), R"(or a list: ["0.0.0.0:8080", "[::]:8080"])",
        R"(where clients connect: `"10.0.1.1:80"`, `"[::]:80"`; `"*:80"` and `":80"` mean all of IPv4, )"
        R"(`"localhost:80"` means 127.0.0.1; port 0 lets the system choose; )"
        R"(`"unix:/run/lemonade/web.sock"` is a [Unix socket](proxy-protocol.md#unix-sockets))")
          .variable("LEMONADE_LB_LISTEN_ADDRESS", "several are separated by commas"),
      K("pool", valueOf<Listener>("string", "name of a pool", Form::kText, &Listener::pool, readPool),
        "the pool whose backends serve its clients",
        "the pool whose backends serve its clients: one of `[pools.NAME]`, or `\"default\"`, the pool of "
        "`[[backends]]`"),
      K("backlog", integer(&Listener::backlog, 1, 65'535),
        "clients that wait to be accepted; the system's net.core.somaxconn bounds it",
        "clients that wait to be accepted; `net.core.somaxconn` bounds it"),
      K("max_connections", integer(&Listener::max_connections, 1, kMaxConnections),
        "clients at once, held exactly; each needs two file descriptors",
        "clients at once, held exactly; each needs two file descriptors, and where their limit does not allow so many "
        "[fewer are let in](deployment.md#limits)")
          .variable("LEMONADE_LB_MAX_CONNECTIONS"),
      K("idle_timeout", duration(&Listener::idle_timeout, 0s, 30 * kDay),
        R"(closes a connection on which no byte moved for so long; "0s" = never)",
        "closes a connection on which no byte moved for so long; 0 means never"),
      K("half_close_timeout", duration(&Listener::half_close_timeout, 0s, 30 * kDay),
        R"(how long a client keeps a backend that is done and silent; "0s" = as long as it likes)",
        "closes a session whose backend has finished and whose client has got all of it, when no byte moved for so "
        "long. Bytes on their way to a slow reader count as moving, and a client that has finished may wait for its "
        "answer as long as `idle_timeout` allows; 0 means never"),
      K("tcp_keepalive",
        valueOf<Listener>("duration or boolean", "0 to 32767s, whole seconds", Form::kNumber, &Listener::tcp_keepalive,
                          readKeepalive),
        R"(idle time before the first probe; true = "60s"; false or "0s" = off)",
        "idle time before the first probe, of clients and backends; `true` means 60s, `false` and 0 mean off"),
      K("tcp_keepalive_interval", wholeSeconds(&Listener::tcp_keepalive_interval, 1s, kLongestKeepalive),
        "between probes; whole seconds", "time between probes that are not answered"),
      K("tcp_keepalive_count", integer(&Listener::tcp_keepalive_count, 1, 127),
        "probes without an answer after which the peer is gone",
        "probes without an answer after which the peer is gone. With the defaults that is 110 s after its last word; a "
        "peer that acknowledges nothing of what it was sent is gone after as long"),
      K("tcp_user_timeout", duration(&Listener::tcp_user_timeout, 0s, kDay),
        R"(unacknowledged bytes end a connection; also of a reader that pauses; "0s" = off)",
        "`TCP_USER_TIMEOUT`: the kernel gives a connection up when bytes stay unacknowledged for so long. This also "
        "ends a peer that is well and reads nothing for so long; 0 means off"),
      K("forward", choice(&Listener::forward),
        R"("kernel": the kernel carries the bytes to the backend that was picked; needs CAP_NET_ADMIN)",
        "who carries the bytes: `relay`, this process, or `kernel`: the process only picks a backend for the first "
        "packet, and the [kernel forwards](kernel-forwarding.md) everything after it. `kernel` needs the capability "
        "`CAP_NET_ADMIN`, and `net.ipv4.ip_forward`"),
      K("source", choice(&Listener::forward_source),
        R"(with forward = "kernel": "keep": backends see the client's address; their route to it must lead here)",
        "with `forward = \"kernel\"`: `masquerade`: backends see this machine's address; `keep`: they see the "
        "client's, which needs their [way back to lead through this machine](kernel-forwarding.md#source)"),
      K("accept_proxy", choice(&Listener::accept_proxy),
        "PROXY header that clients must send first: off, v1, v2, or v1+v2 for either; needs trusted",
        "the [PROXY header](proxy-protocol.md) that each client must send first; the address that it names is the "
        "client's from then on. A connection that is not from `trusted`, or does not send a whole header within "
        "`header_timeout`, is reset"),
      K("trusted", valueOf<Listener>("list", "networks, addresses, `\"unix\"`", Form::kList, trustedOf, readTrusted),
        R"(who may send it: ["10.0.0.0/8", "2001:db8::1", "unix"]; "unix" is whoever connects to a Unix socket)",
        "from where `accept_proxy` takes headers, and connections at all: `[\"10.0.0.0/8\", \"2001:db8::1\"]`; "
        "`\"unix\"` means whoever connects to a Unix socket"),
      K("header_timeout", duration(&Listener::header_timeout, 100ms, 1h),
        "how long a client may take to send all of its PROXY header",
        "how long a client may take to send all of its PROXY header, from when it was accepted. TCP sends what was "
        "lost "
        "again after one second, and after three"),
      K("mode", valueOf<Listener>("string", "`\"0000\"` to `\"0777\"`", Form::kText, modeOf, readMode),
        "of the files of Unix sockets: who may write to one may connect",
        "of the files of [Unix sockets](proxy-protocol.md#unix-sockets); whoever may write to one may connect")
          .fallback("what the umask leaves"),
      K("owner",
        valueOf<Listener>("string", "`user`, `user:group`, `:group`", Form::kText, &Listener::owner, readOwner),
        "of the files of Unix sockets; only root gives them to another user",
        "of the files of Unix sockets, by name or number; only root can give them to another user")
          .fallback("the user of the process"),
  };
}

}  // namespace

std::optional<std::string> listenAddressOf(const Item& item, Result<std::string> (*parse)(std::string_view)) {
  const auto text = textOf(item, "give an address to listen on, such as \"0.0.0.0:8080\" or \"[::]:8080\"");
  if (!text) return std::nullopt;
  auto address = parse(*text);
  if (address.ok()) return std::move(address).value();
  item.refuse(address.error().message);
  return std::nullopt;
}

const std::vector<Key<Listener>>& listenerKeys() {
  static const auto& keys = *new std::vector<Key<Listener>>(makeListenerKeys());
  return keys;
}

}  // namespace lemonade::config
