// SPDX-License-Identifier: MIT
#include "proxy/header_reader.h"

#include "base/log.h"
#include "base/nanoseconds.h"
#include "proxy/socket_state.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <tuple>
#include <utility>

namespace lemonade::proxy {

namespace {

constexpr std::uint64_t kBetweenComplaints = 10'000'000'000;

ProxyVersions versionsOf(config::AcceptProxy accept) noexcept {
  switch (accept) {
    case config::AcceptProxy::kV1:
      return ProxyVersions::kV1;
    case config::AcceptProxy::kV2:
      return ProxyVersions::kV2;
    default:
      return ProxyVersions::kBoth;
  }
}

bool trusts(const config::Listener& listener, const Address& peer) noexcept {
  const auto& trusted = listener.trusted;
  return std::any_of(trusted.begin(), trusted.end(), [&](const auto& one) { return one.contains(peer.get()); });
}

}  // namespace

/// A client whose header is not complete.
struct HeaderReader::Waiting final : Guest {
  void handleReady(std::uint32_t) noexcept override { (void)reader->read(*this); }

  HeaderReader* reader = nullptr;
  Clients::iterator place;
  Fd fd;
  Address peer;
  std::uint64_t accepted_at = 0;
  std::uint16_t local_port = 0;
  Listener* listener = nullptr;
  std::shared_ptr<const config::Listener> config;  // as it was when the client came
  bool watched = false;
  std::size_t size = 0;  // bytes of the header that have come, and are in `bytes`
  char bytes[kLongestProxyHeader];
};

HeaderReader::HeaderReader(std::uint32_t worker, SessionSet& sessions, EventLoop& loop, Mailbox& mailbox,
                           const Clock& clock)
    : worker_(worker), sessions_(sessions), loop_(loop), mailbox_(mailbox), clock_(clock) {}

HeaderReader::~HeaderReader() { closeAll(); }

/// Null where memory is out.
HeaderReader::Waiting* HeaderReader::add(std::uint64_t deadline) noexcept try {
  const auto place = clients_.emplace(std::piecewise_construct, std::forward_as_tuple(deadline), std::tuple<>());
  place->second.place = place;
  return &place->second;
} catch (const std::bad_alloc&) {
  return nullptr;
}

void HeaderReader::take(Fd fd, const Address& peer, std::uint16_t local_port, Listener& listener) noexcept {
  auto config = listener.config();
  const std::uint64_t now = clock_.nowNs();
  Waiting* const client = add(now + ns(config->header_timeout));
  if (client == nullptr) {
    listener.at(worker_).counters.no_memory.add();
    return listener.admission().leave();
  }
  client->reader = this;
  client->fd = std::move(fd);
  client->peer = peer;
  client->accepted_at = now;
  client->local_port = local_port;
  client->listener = &listener;
  client->config = std::move(config);
  mailbox_.counters.sessions.add();
  // A reload has just turned it off.
  if (client->config->accept_proxy == config::AcceptProxy::kOff) return finish(*client, {});
  if (!trusts(*client->config, peer))
    return refuse(*client, Refusal::kUntrusted, "it is not among those that are trusted");
  if (read(*client) && !watch(*client)) {
    listener.at(worker_).counters.no_memory.add();
    free(*client);
    listener.admission().leave();
  }
}

// Looks at what has come without taking it: what is behind the header is the session's. All that has come of a header
// that is not complete belongs to it, and is taken.
bool HeaderReader::read(Waiting& client) noexcept {
  for (;;) {
    char* const end = client.bytes + client.size;
    const ssize_t came = ::recv(client.fd.get(), end, sizeof(client.bytes) - client.size, MSG_PEEK);
    if (came < 0 && errno == EINTR) continue;
    if (came < 0 && wouldBlock(errno)) return true;
    if (came <= 0) return refuse(client, Refusal::kClosed, nullptr), false;
    const std::string_view bytes(client.bytes, client.size + static_cast<std::size_t>(came));
    const auto reading = readProxyHeader(bytes, versionsOf(client.config->accept_proxy));
    if (reading.what == ProxyReading::What::kMalformed) return refuse(client, Refusal::kMalformed, reading.flaw), false;
    const bool complete = reading.what == ProxyReading::What::kComplete;
    const std::size_t wanted = complete ? reading.size - client.size : static_cast<std::size_t>(came);
    if (::recv(client.fd.get(), end, wanted, 0) != static_cast<ssize_t>(wanted))
      return refuse(client, Refusal::kClosed, nullptr), false;
    client.size += wanted;
    if (complete) return finish(client, reading), false;
  }
}

bool HeaderReader::watch(Waiting& client) noexcept try {
  loop_.addGuest(client.fd.get(), POLLIN, client, EventLoop::Wake::kEach);
  return client.watched = true;
} catch (const std::bad_alloc&) {
  return false;
}

void HeaderReader::finish(Waiting& client, const ProxyReading& reading) noexcept {
  const bool named = reading.header.source.family() != AF_UNSPEC;
  const Address peer = client.peer;
  const Address address = named ? reading.header.source : peer;
  const std::uint16_t port =
      named && reading.header.destination.port() != 0 ? reading.header.destination.port() : client.local_port;
  if (client.watched) loop_.removeGuest(client.fd.get());
  client.watched = false;
  Fd fd = std::move(client.fd);
  Listener& listener = *client.listener;
  free(client);
  sessions_.add(std::move(fd), address, port, listener, named ? reading.header.destination : Address(),
                named ? peer : Address());
}

void HeaderReader::refuse(Waiting& client, Refusal why, const char* flaw) noexcept {
  Listener& listener = *client.listener;
  auto& counters = listener.at(worker_).counters;
  switch (why) {
    case Refusal::kUntrusted:
      counters.header_untrusted.add();
      record(client, LEMONADE_END_HEADER_UNTRUSTED);
      complain(client, flaw);
      break;
    case Refusal::kMalformed:
      counters.header_malformed.add();
      record(client, LEMONADE_END_HEADER_MALFORMED);
      complain(client, flaw);
      break;
    case Refusal::kTimeout:
      counters.header_timeouts.add();
      record(client, LEMONADE_END_HEADER_TIMEOUT);
      complain(client, "its PROXY header was not complete in time");
      break;
    case Refusal::kClosed:  // as those do that only look whether somebody listens
      counters.header_closed.add();
      record(client, LEMONADE_END_HEADER_CLOSED);
      break;
  }
  resetOnClose(client.fd.get());
  free(client);
  listener.admission().leave();
}

// One that was refused before it was a session has a record all the same.
void HeaderReader::record(const Waiting& client, std::uint32_t reason) noexcept {
  if (!mailbox_.records.wanted()) return;
  SessionRecord record;
  record.listener = client.listener->name();
  record.client = &client.peer;
  record.numbers.reason = reason;
  record.numbers.started_ns = client.accepted_at;
  record.numbers.duration_ns = clock_.nowNs() - client.accepted_at;
  mailbox_.records.put(record);
}

// A client can cause it, so it is not said of each.
void HeaderReader::complain(const Waiting& client, const char* why) noexcept try {
  const std::uint64_t now = clock_.nowNs();
  if (complained_at_ != 0 && now - complained_at_ < kBetweenComplaints) {
    ++silent_since_;
    return;
  }
  complained_at_ = now;
  log::warning("proxy", "a client was refused",
               {{"listener", client.listener->name()},
                {"client", client.peer.text()},
                {"reason", why},
                {"others", std::exchange(silent_since_, 0)}});
} catch (const std::bad_alloc&) {
  // It is counted.
}

void HeaderReader::free(Waiting& client) noexcept {
  if (client.watched) loop_.removeGuest(client.fd.get());
  mailbox_.counters.sessions.subtract();
  clients_.erase(client.place);
}

void HeaderReader::handleDue(std::uint64_t now) noexcept {
  while (!clients_.empty() && clients_.begin()->first <= now)
    refuse(clients_.begin()->second, Refusal::kTimeout, nullptr);
}

std::uint64_t HeaderReader::nextDue() const noexcept { return clients_.empty() ? 0 : clients_.begin()->first; }

void HeaderReader::closeAll() noexcept {
  while (!clients_.empty()) {
    Waiting& client = clients_.begin()->second;
    Listener& listener = *client.listener;
    record(client, LEMONADE_END_DRAIN);
    resetOnClose(client.fd.get());
    free(client);
    listener.admission().leave();
  }
}

}  // namespace lemonade::proxy
