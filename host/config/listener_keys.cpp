// SPDX-License-Identifier: MIT
//
// The keys of a listener.
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
    if (auto address = listenAddressOf(element)) addresses.push_back({std::move(*address), element.source});
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

void readPool(const Item& item, Listener& listener) {
  if (auto pool = textOf(item, "give the name of a pool")) listener.pool = std::move(*pool);
}

Value<Listener> addresses() {
  auto value = valueOf<Listener>("string or list", "numeric address and port", Form::kList, addressesOf, readAddresses);
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
        R"(`"localhost:80"` means 127.0.0.1; port 0 lets the system choose)")
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
  };
}

}  // namespace

std::optional<std::string> listenAddressOf(const Item& item) {
  const auto text = textOf(item, "give an address to listen on, such as \"0.0.0.0:8080\" or \"[::]:8080\"");
  if (!text) return std::nullopt;
  auto address = parseListenAddress(*text);
  if (address.ok()) return std::move(address).value();
  item.refuse(address.error().message);
  return std::nullopt;
}

const std::vector<Key<Listener>>& listenerKeys() {
  static const auto& keys = *new std::vector<Key<Listener>>(makeListenerKeys());
  return keys;
}

}  // namespace lemonade::config
