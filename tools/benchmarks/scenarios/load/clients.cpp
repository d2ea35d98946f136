// SPDX-License-Identifier: MIT
//
// The clients: see clients.h.
#include "scenarios/load/clients.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace lemonade::bench {
namespace {

// Clients have many addresses, as a strategy may go by them: 127.1.0.1 and so on.
sockaddr_in addressOf(std::uint32_t client) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(0x7f010000u + client / 250 * 256 + client % 250 + 1);
  return address;
}

Fd socketFrom(std::uint32_t client) {
  Fd fd = ownedFd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  const sockaddr_in address = addressOf(client);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    throw std::system_error(errno, std::generic_category(), "bind");
  return fd;
}

Outcome outcomeOf(int error) { return error == ECONNREFUSED ? Outcome::kRefused : Outcome::kReset; }

}  // namespace

Clients::Clients(const std::vector<Arrival>& plan, Work work, std::vector<sockaddr_in> targets, std::uint64_t limit_ns,
                 std::size_t backends)
    : plan_(plan),
      work_(work),
      targets_(std::move(targets)),
      limit_ns_(limit_ns),
      requests_(backends, limit_ns),
      sessions_(backends, limit_ns) {
  lateness_ns_.reserve(plan.size());
}

void Clients::run(std::uint64_t start) {
  start_ = start;
  auto next = plan_.begin();
  while (next != plan_.end() || !clients_.empty()) {
    std::uint64_t until = next == plan_.end() ? kNever : start + next->due;
    if (!timers_.empty()) until = std::min(until, timers_.top().at);
    const auto events = loop_.wait(until);
    for (const auto& event : events) onEvent(event.data.u64, event.events);
    const std::uint64_t now = nowNs();
    for (; next != plan_.end() && start + next->due <= now; ++next) arrive(*next);
    while (!timers_.empty() && timers_.top().at <= now) {
      const Timer timer = timers_.top();
      timers_.pop();
      onTimer(timer);
    }
  }
}

void Clients::arrive(const Arrival& arrival) {
  const std::uint64_t id = next_id_++;
  Client& client = clients_[id];
  client.arrival = &arrival;
  client.due = start_ + arrival.due;
  client.ends = client.due + arrival.length;
  client.fd = socketFrom(arrival.address);
  lateness_ns_.push_back(nowNs() - client.due);
  const sockaddr_in& target = targets_[arrival.address % targets_.size()];
  const int result = ::connect(client.fd.get(), reinterpret_cast<const sockaddr*>(&target), sizeof(target));
  if (result != 0 && errno != EINPROGRESS) return end(id, client, outcomeOf(errno));
  loop_.add(client.fd.get(), id, EPOLLIN | EPOLLOUT | EPOLLET);
  wait(id, client, client.due + limit_ns_);
}

void Clients::onEvent(std::uint64_t id, std::uint32_t events) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  Client& client = found->second;
  if (client.connecting && (events & EPOLLOUT) != 0 && (events & EPOLLERR) == 0) {
    client.connecting = false;
    send(id, client);
  }
  if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0 && clients_.contains(id)) receive(id, client);
}

void Clients::send(std::uint64_t id, Client& client) {
  const bool session = client.arrival->length > 0;
  double work_ns = client.arrival->work_ns;
  if (session) work_ns = work_.draw(random_, work_ns);
  char line[64];
  const int size = std::snprintf(line, sizeof(line), "%s %.0f\n", session ? "keep" : "once", work_ns);
  if (::send(client.fd.get(), line, static_cast<std::size_t>(size), MSG_NOSIGNAL) < 0)
    end(id, client, outcomeOf(errno));
}

void Clients::receive(std::uint64_t id, Client& client) {
  char buffer[64];
  for (;;) {
    const auto got = ::recv(client.fd.get(), buffer, sizeof(buffer), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) return end(id, client, outcomeOf(errno));
    if (got == 0) return end(id, client, Outcome::kClosedEarly);
    client.input.append(buffer, static_cast<std::size_t>(got));
    if (client.input.ends_with('\n')) return answered(id, client);
  }
}

void Clients::answered(std::uint64_t id, Client& client) {
  const std::uint64_t now = nowNs();
  recordOf(client).add(Outcome::kAnswered, client.due - start_, now - client.due, std::stoul(client.input));
  client.input.clear();
  const double gap = client.arrival->gap_ns;
  const std::uint64_t next =
      gap <= 0 ? kNever : now + static_cast<std::uint64_t>(std::exponential_distribution<double>(1 / gap)(random_));
  if (next >= client.ends || ++client.answers == client.arrival->requests) {
    clients_.erase(id);
    return;
  }
  client.due = next;
  wait(id, client, next);
}

void Clients::end(std::uint64_t id, Client& client, Outcome outcome) {
  recordOf(client).add(outcome, client.due - start_, nowNs() - client.due);
  clients_.erase(id);
}

void Clients::wait(std::uint64_t id, Client& client, std::uint64_t until) {
  client.deadline = until;
  timers_.push({until, id});
}

void Clients::onTimer(const Timer& timer) {
  const auto found = clients_.find(timer.client);
  if (found == clients_.end() || found->second.deadline != timer.at) return;
  Client& client = found->second;
  // A session between two requests has the time of the next as its deadline, not yet the limit of one.
  if (client.due != timer.at) return end(timer.client, client, Outcome::kTimeout);
  wait(timer.client, client, client.due + limit_ns_);
  send(timer.client, client);
}

}  // namespace lemonade::bench
