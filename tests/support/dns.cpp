// SPDX-License-Identifier: MIT
//
// A small name server: see dns.h.
#include "support/dns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <stdexcept>

namespace lemonade::test {
namespace {

constexpr std::size_t kHeader = 12;
constexpr std::size_t kMostOverUdp = 512;

std::string big16(std::size_t number) {
  return {static_cast<char>(number >> 8 & 0xff), static_cast<char>(number & 0xff)};
}

/// The name and type of a question.
std::pair<std::string, int> asks(std::string_view question) {
  std::string name;
  std::size_t at = kHeader;
  while (at < question.size() && question[at] != '\0') {
    const auto length = static_cast<unsigned char>(question[at]);
    name += (name.empty() ? "" : ".") + std::string(question.substr(at + 1, length));
    at += 1 + length;
  }
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return {name, at + 2 < question.size() ? static_cast<unsigned char>(question[at + 2]) : 0};
}

Fd bound(int type, const sockaddr_in& at) {
  Fd socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0) return Fd();
  return socket;
}

}  // namespace

Dns::Dns(std::uint16_t port, const std::string& address) : stop_(::eventfd(0, EFD_CLOEXEC)) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  ::inet_pton(AF_INET, address.c_str(), &at.sin_addr);
  // The port that is free for one kind may be taken for the other.
  for (int tries = 0; tries < 20 && !listener_; ++tries) {
    at.sin_port = htons(port);
    datagrams_ = bound(SOCK_DGRAM, at);
    socklen_t size = sizeof(at);
    if (datagrams_) ::getsockname(datagrams_.get(), reinterpret_cast<sockaddr*>(&at), &size);
    listener_ = bound(SOCK_STREAM, at);
  }
  if (!listener_ || ::listen(listener_.get(), 64) != 0) throw std::runtime_error("no port for a name server");
  port_ = ntohs(at.sin_port);
  thread_ = std::thread([this] { serve(); });
}

Dns::~Dns() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(stop_.get(), &one, sizeof(one));
  thread_.join();
}

void Dns::set(const std::string& name, int type, Maker maker) {
  const std::lock_guard lock(mutex_);
  makers_[{name, type}] = std::move(maker);
}

void Dns::addresses(const std::string& name, const std::vector<std::string>& numeric) {
  std::vector<std::pair<int, std::string>> four, six;
  for (const auto& text : numeric) {
    const bool ipv6 = text.find(':') != std::string::npos;
    std::string data(ipv6 ? 16 : 4, '\0');
    ::inet_pton(ipv6 ? AF_INET6 : AF_INET, text.c_str(), data.data());
    (ipv6 ? six : four).emplace_back(ipv6 ? kAaaa : kA, data);
  }
  set(name, kA, [four](std::string_view question) { return answer(question, 0, four); });
  set(name, kAaaa, [six](std::string_view question) { return answer(question, 0, six); });
}

void Dns::service(const std::string& name, const std::vector<Record>& records) {
  std::vector<std::pair<int, std::string>> list;
  for (const auto& one : records)
    list.emplace_back(kSrv, big16(one.priority) + big16(one.weight) + big16(one.port) + encoded(one.host));
  set(name, kSrv, [list](std::string_view question) { return answer(question, 0, list); });
}

void Dns::alias(const std::string& name, const std::string& to) {
  for (const int type : {kA, kAaaa})
    set(name, type, [to](std::string_view question) { return answer(question, 0, {{kCname, encoded(to)}}); });
}

void Dns::fail(const std::string& name, int code) {
  for (const int type : {kA, kAaaa, kSrv}) fail(name, type, code);
}
void Dns::fail(const std::string& name, int type, int code) {
  set(name, type, [code](std::string_view question) { return answer(question, code); });
}
void Dns::silence(const std::string& name) {
  answerBy(name, [](std::string_view) { return ""; });
}
void Dns::silence(const std::string& name, int type) {
  set(name, type, [](std::string_view) { return ""; });
}
void Dns::answerBy(const std::string& name, const Maker& maker) {
  for (const int type : {kA, kAaaa, kSrv}) set(name, type, maker);
}

unsigned Dns::asked(const std::string& name, int type) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find({name, type});
  return found == counts_.end() ? 0 : found->second;
}

void Dns::serve() {
  while (true) {
    pollfd ready[] = {{datagrams_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    ::poll(ready, 3, -1);
    if (ready[2].revents != 0) return;
    if (ready[1].revents != 0) serveStream();
    if (ready[0].revents == 0) continue;
    char question[512];
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    const auto got =
        ::recvfrom(datagrams_.get(), question, sizeof(question), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < static_cast<ssize_t>(kHeader)) continue;
    auto reply = answerTo(std::string_view(question, static_cast<std::size_t>(got)), false);
    if (!reply.empty())
      ::sendto(datagrams_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
  }
}

/// Answers what comes on one connection, within a second.
void Dns::serveStream() {
  const Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ++connections_;
  const timeval limit{1, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  unsigned char length[2];
  while (::recv(client.get(), length, 2, MSG_WAITALL) == 2) {
    std::string question(static_cast<std::size_t>(length[0]) << 8 | length[1], '\0');
    if (::recv(client.get(), question.data(), question.size(), MSG_WAITALL) != static_cast<ssize_t>(question.size()))
      return;
    const auto reply = answerTo(question, true);
    if (reply.empty()) continue;
    const auto framed = big16(reply.size()) + reply;
    if (::send(client.get(), framed.data(), framed.size(), MSG_NOSIGNAL) < 0) return;
  }
}

std::string Dns::answerTo(std::string_view question, bool stream) {
  const auto what = asks(question);
  ++asked_;
  Maker maker;
  bool named = false;
  {
    const std::lock_guard lock(mutex_);
    ++counts_[what];
    const auto found = makers_.find(what);
    if (found != makers_.end()) maker = found->second;
    const auto any = makers_.lower_bound({what.first, 0});
    named = any != makers_.end() && any->first.first == what.first;
  }
  auto reply = maker ? maker(question) : answer(question, named ? 0 : kNxdomain);
  if (stream || reply.size() <= kMostOverUdp) return reply;
  reply = answer(question, 0);
  reply[2] = static_cast<char>(reply[2] | 0x02);  // truncated
  return reply;
}

std::string Dns::answer(std::string_view question, int code, const std::vector<std::pair<int, std::string>>& records) {
  // Header, then the name up to its empty label, type and class.
  const auto end = question.find('\0', kHeader) + 5;
  std::string reply(question.substr(0, end));
  reply[2] = static_cast<char>(0x81);  // an answer, recursion desired
  reply[3] = static_cast<char>(0x80 | code);
  reply.replace(6, 2, big16(records.size()));
  std::fill(reply.begin() + 8, reply.begin() + kHeader, '\0');
  for (const auto& [type, data] : records)
    // The name of the question, type, IN, 0 seconds.
    reply +=
        "\xc0\x0c" + big16(static_cast<std::size_t>(type)) + std::string("\0\1\0\0\0\0", 6) + big16(data.size()) + data;
  return reply;
}

std::string Dns::encoded(const std::string& name) {
  std::string text;
  for (std::size_t at = 0; at < name.size();) {
    const auto dot = std::min(name.find('.', at), name.size());
    if (dot > at) text += static_cast<char>(dot - at) + name.substr(at, dot - at);
    at = dot + 1;
  }
  return text + '\0';
}

}  // namespace lemonade::test
