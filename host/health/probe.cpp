// SPDX-License-Identifier: MIT
#include "health/probe.h"

#include "balance/proxy_header.h"
#include "plugin/text.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace lemonade::health {
namespace {

constexpr std::size_t kMaxSend = 64 * 1024;
constexpr std::size_t kMaxReason = 256;
constexpr int kReadsAtOnce = 16;
/// The reason that the SDK gives where a checker in C++ threw while it looked at an event; it has no other way to say
/// so.
constexpr std::string_view kThrew = "the checker threw an exception";
constexpr const char* kBrokenOff = "its call was broken off";

bool lacksResources(int error, int family) noexcept {
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC:  // epoll_ctl: fs.epoll.max_user_watches
      return true;
    case EAGAIN:  // connect: no local port is free; of a Unix socket the backend has too many clients waiting
      return family != AF_UNIX;
    case EADDRNOTAVAIL:  // of IPv4 no local port is free; of IPv6 also a host that has no address to connect from
      return family == AF_INET;
    default:
      return false;
  }
}

std::string wordsOf(int error) {
  switch (error) {
    case EAGAIN:
      return "its queue of clients that wait is full";
    case ECONNREFUSED:
      return "connection refused";
    case ECONNRESET:
    case EPIPE:
      return "connection reset";
    default:
      return std::generic_category().message(error);
  }
}

std::string wordsOf(Duration timeout) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  return "timed out after " + (ms % 1'000 == 0 ? std::to_string(ms / 1'000) + "s" : std::to_string(ms) + "ms");
}

/// Connecting to a port of this host that nobody listens on can meet itself, by TCP's simultaneous open, where the
/// kernel happens to choose that very port as the local one.
bool connectedToItself(int fd, const Address& peer) noexcept {
  sockaddr_storage local{};
  socklen_t size = sizeof(local);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) != 0) return false;
  return Address(reinterpret_cast<sockaddr*>(&local), size) == peer;
}

/// A text cut to kMaxReason bytes where a character begins.
std::string cut(std::string_view text) {
  if (text.size() > kMaxReason) {
    std::size_t end = kMaxReason;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text = text.substr(0, end);
  }
  return std::string(text);
}

lemonade_probe_verdict_t emptyVerdict() noexcept {
  lemonade_probe_verdict_t verdict{};
  verdict.struct_size = sizeof(verdict);
  return verdict;
}

}  // namespace

Probe::Target::Target(const Backend& backend, const Route& route)
    : id(backend.id()),
      name(backend.settings().name),
      identity(backend.identity()),
      address(route.target(backend.address())),
      source(route.source),
      send_proxy(route.send_proxy) {
  // What a Unix socket is asked for has no host of its own.
  hostname = address.isUnix() ? "localhost" : backend.settings().host;
  address_text = address == backend.address() ? backend.addressText() : address.text();
}

Probe::Outcome Probe::begin(const Checker* checker, const Target& target, Duration timeout, int epoll_fd, void* tag) {
  started_ns_ = clock_.nowNs();
  timeout_ = timeout;
  connected_ = false;
  send_error_ = 0;
  said_size_ = 0;
  send_proxy_ = target.send_proxy;
  peer_ = target.address;
  const int family = peer_.family();
  fd_ = Fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) return end(lacksResources(errno, family) ? Outcome::kSkipped : Outcome::kFailed, wordsOf(errno));
  running_ = true;
  if (checker == nullptr) return connect(target.source, epoll_fd, tag);

  auto verdict = emptyVerdict();
  lemonade_status_t status = LEMONADE_ERROR_FAILED;
  checker_ = checker;
  const bool came_back = askToBegin(target, verdict, status);
  if (!came_back || status != LEMONADE_OK) checker_ = nullptr;  // its half has not begun
  if (!came_back) return end(Outcome::kBroken, kBrokenOff);
  if (status != LEMONADE_OK)
    return end(Outcome::kBroken, "the checker could not begin (status " + std::to_string(status) + ")");
  if (witness_ != nullptr) witness_->answered(verdict);
  const auto outcome = obey(verdict, {}, true);
  return outcome == Outcome::kRunning ? connect(target.source, epoll_fd, tag) : outcome;
}

bool Probe::askToBegin(const Target& target, lemonade_probe_verdict_t& verdict, lemonade_status_t& status) {
  lemonade_probe_target_t raw{};
  raw.struct_size = sizeof(raw);
  raw.id = plugin::str(target.id);
  raw.name = plugin::str(target.name);
  raw.address = plugin::str(target.address_text);
  raw.hostname = plugin::str(target.hostname);
  raw.identity = target.identity;
  raw.timeout_ns = static_cast<std::uint64_t>(timeout_.count());
  raw.now_ns = started_ns_;
  probe_ = nullptr;
  return ask(plugin::Function::kProbeBegin, verdict, [&] {
    status = checker_->table().probe_begin(checker_->self(), &raw, &probe_, &verdict);
    if (status != LEMONADE_OK) verdict.what = LEMONADE_VERDICT_WAIT;  // what it points to says nothing
  });
}

/// Calls the checker and copies its reason; false where that was broken off.
template <class Call>
bool Probe::ask(plugin::Function function, lemonade_probe_verdict_t& verdict, Call&& call) {
  said_size_ = 0;
  return checker_->guard().call(function, [&] {
    call();
    const bool says_why = verdict.what == LEMONADE_VERDICT_FAIL || verdict.what == LEMONADE_VERDICT_DEGRADED;
    if (!says_why || verdict.reason.data == nullptr) return;
    const auto size = std::min<std::uint64_t>(verdict.reason.size, said_.size());
    std::memcpy(said_.data(), verdict.reason.data, size);
    said_size_ = size;
  });
}

Probe::Outcome Probe::connect(const Address& source, int epoll_fd, void* tag) {
  epoll_fd_ = epoll_fd;
  tag_ = tag;
  if (source.family() == peer_.family() && ::bind(fd_.get(), source.get(), source.size()) != 0)
    return end(Outcome::kSkipped, "cannot connect from " + source.text() + ": " + wordsOf(errno));
  if (::connect(fd_.get(), peer_.get(), peer_.size()) != 0 && errno != EINPROGRESS) {
    const int error = errno;
    if (lacksResources(error, peer_.family())) return end(Outcome::kSkipped, std::generic_category().message(error));
    return feed(LEMONADE_PROBE_ERROR, {}, error);
  }
  watched_ = EPOLLOUT;
  epoll_event event{.events = watched_, .data = {.ptr = tag}};
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd_.get(), &event) != 0) return end(Outcome::kSkipped, wordsOf(errno));
  return Outcome::kRunning;
}

Probe::Outcome Probe::onReady(std::uint32_t events, std::span<char> buffer) {
  if (!connected_) return onConnectEnded();
  if ((events & EPOLLOUT) != 0) flush();
  const auto outcome = receive(buffer);
  return outcome == Outcome::kRunning ? waitForMore() : outcome;
}

Probe::Outcome Probe::onConnectEnded() {
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0 && connectedToItself(fd_.get(), peer_)) error = ECONNREFUSED;
  if (error != 0) return feed(LEMONADE_PROBE_ERROR, {}, error);
  connected_ = true;
  if (send_proxy_ != 0) introduce();
  flush();
  const auto outcome = feed(LEMONADE_PROBE_CONNECTED, {}, 0);
  return outcome == Outcome::kRunning ? waitForMore() : outcome;
}

/// The check is the balancer's own connection, for no client.
void Probe::introduce() {
  sockaddr_storage local{};
  socklen_t size = sizeof(local);
  auto* const any = reinterpret_cast<sockaddr*>(&local);
  const Address own = ::getsockname(fd_.get(), any, &size) == 0 ? Address(any, size) : Address();
  unsent_.insert(0, writeLocalProxyHeader(static_cast<ProxyVersion>(send_proxy_), {own, peer_}).view());
}

Probe::Outcome Probe::onTimeout() { return feed(LEMONADE_PROBE_TIMEOUT, {}, 0); }

Probe::Outcome Probe::receive(std::span<char> buffer) {
  for (int i = 0; i < kReadsAtOnce; ++i) {
    const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return Outcome::kRunning;
    if (got < 0) return feed(LEMONADE_PROBE_ERROR, {}, errno);
    if (got == 0 && send_error_ != 0) return feed(LEMONADE_PROBE_ERROR, {}, send_error_);
    if (got == 0) return feed(LEMONADE_PROBE_EOF, {}, 0);
    const auto outcome = feed(LEMONADE_PROBE_DATA, {buffer.data(), static_cast<std::uint64_t>(got)}, 0);
    if (outcome != Outcome::kRunning) return outcome;
  }
  return Outcome::kRunning;
}

Probe::Outcome Probe::feed(std::uint32_t type, lemonade_str_t data, int error) {
  lemonade_probe_event_t event{};
  event.struct_size = sizeof(event);
  event.type = type;
  event.elapsed_ns = clock_.nowNs() - started_ns_;
  event.data = data;
  event.error = error;
  auto verdict = emptyVerdict();
  if (witness_ != nullptr) witness_->happened(event);
  if (checker_ == nullptr) {
    verdict.what = type == LEMONADE_PROBE_CONNECTED ? LEMONADE_VERDICT_PASS : LEMONADE_VERDICT_FAIL;
  } else if (!ask(plugin::Function::kProbeEvent, verdict,
                  [&] { checker_->table().probe_event(checker_->self(), probe_, &event, &verdict); })) {
    return end(Outcome::kBroken, kBrokenOff);
  }
  if (witness_ != nullptr) witness_->answered(verdict);
  switch (type) {
    case LEMONADE_PROBE_ERROR:
      return obey(verdict, wordsOf(error), false);
    case LEMONADE_PROBE_TIMEOUT:
      return obey(verdict, wordsOf(timeout_), false);
    case LEMONADE_PROBE_EOF:
      return obey(verdict, "closed by the backend", false);
    default:
      return obey(verdict, {}, true);
  }
}

/// Does what the checker says. host_words stand in for a reason it does not give.
Probe::Outcome Probe::obey(const lemonade_probe_verdict_t& verdict, const std::string& host_words, bool may_go_on) {
  const auto said = cut({said_.data(), said_size_});
  const auto reason = [&](const char* otherwise) {
    const auto& text = said.empty() ? host_words : said;
    return text.empty() ? otherwise : text;
  };
  switch (verdict.what) {
    case LEMONADE_VERDICT_WAIT:
      return may_go_on ? Outcome::kRunning : end(Outcome::kFailed, host_words);
    case LEMONADE_VERDICT_SEND:
      return may_go_on ? send(verdict.send) : end(Outcome::kFailed, host_words);
    case LEMONADE_VERDICT_PASS:
      return end(Outcome::kPassed, {});
    case LEMONADE_VERDICT_FAIL:
      if (said == kThrew) return end(Outcome::kBroken, std::string(kThrew));
      return end(Outcome::kFailed, reason("the checker gave no reason"));
    case LEMONADE_VERDICT_DEGRADED:
      return end(Outcome::kDegraded, reason("degraded"));
    default:
      return end(Outcome::kBroken, "the checker answered with the unknown verdict " + std::to_string(verdict.what));
  }
}

Probe::Outcome Probe::send(lemonade_str_t data) {
  if (data.data == nullptr && data.size != 0) return end(Outcome::kBroken, "the checker sends from a null pointer");
  if (data.size > kMaxSend || unsent_.size() + data.size > kMaxSend)
    return end(Outcome::kBroken, "the checker sends more than 64 KiB at once");
  if (data.size != 0) {
    const std::size_t before = unsent_.size();
    unsent_.resize(before + data.size);
    const auto copy = [&] { std::memcpy(unsent_.data() + before, data.data, data.size); };
    if (!checker_->guard().call(plugin::Function::kProbeEvent, copy)) return end(Outcome::kBroken, kBrokenOff);
  }
  if (connected_) flush();
  return Outcome::kRunning;
}

void Probe::flush() {
  while (!unsent_.empty() && send_error_ == 0) {
    const auto sent = ::send(fd_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      unsent_.erase(0, static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      // What the backend said before it closed comes first; then receiving ends with an error or here.
      send_error_ = errno;
      unsent_.clear();
    }
  }
}

Probe::Outcome Probe::waitForMore() {
  const std::uint32_t wanted = unsent_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT;
  if (wanted == watched_) return Outcome::kRunning;
  watched_ = wanted;
  epoll_event event{.events = wanted, .data = {.ptr = tag_}};
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd_.get(), &event);
  return Outcome::kRunning;
}

Probe::Outcome Probe::end(Outcome outcome, std::string reason) {
  reason_ = std::move(reason);
  cancel();
  return outcome;
}

void Probe::cancel() noexcept {
  running_ = false;
  if (checker_ != nullptr) {
    const auto& ending = *std::exchange(checker_, nullptr);
    // Where it is broken nobody ends the probe: what it holds is lost with the instance.
    (void)ending.guard().call(plugin::Function::kProbeEnd, [&] { ending.table().probe_end(ending.self(), probe_); });
  }
  // Closing alone does not do: a child process that is being spawned holds the descriptor for an instant, and epoll
  // would go on telling of a check that has ended.
  if (fd_ && watched_ != 0) (void)::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd_.get(), nullptr);
  watched_ = 0;
  fd_.reset();
  std::string().swap(unsent_);
}

}  // namespace lemonade::health
