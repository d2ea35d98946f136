// SPDX-License-Identifier: MIT
#include "balance/dns_channel.h"

#include <ares.h>
#include <ares_nameser.h>
#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace lemonade {
namespace {

using namespace std::chrono_literals;

// A server that is silent shall not keep a name from the next server for long: the first wait is short, and doubles
// with each round. One server gets 0.2 s, 0.4 s, 0.8 s and 1.6 s.
constexpr int kFirstWaitMillis = 200;
constexpr int kRounds = 4;
constexpr int kReceiveBuffer = 1 << 20;  // hundreds of answers may come at once
constexpr std::size_t kMostEvents = 16;

/// Differs where the file was written, replaced or mounted over.
std::string lookAt(const std::string& file) {
  struct stat status;
  if (::stat(file.c_str(), &status) != 0) return "missing";
  std::string text;
  for (const auto number : {static_cast<std::int64_t>(status.st_dev), static_cast<std::int64_t>(status.st_ino),
                            static_cast<std::int64_t>(status.st_size), static_cast<std::int64_t>(status.st_mtim.tv_sec),
                            static_cast<std::int64_t>(status.st_mtim.tv_nsec)})
    text += std::to_string(number) + " ";
  return text;
}

Duration durationOf(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

/// Makes the library ready once; it is never taken down, since the process ends with it.
int initialize() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

}  // namespace

DnsChannel::DnsChannel(ControlLoop& loop, const NameServers& servers, std::function<void()> on_answers)
    : loop_(loop),
      file_(servers.file),
      state_of_file_(lookAt(file_)),
      on_answers_(std::move(on_answers)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  ares_options options{};
  options.timeout = kFirstWaitMillis;
  options.tries = kRounds;
  options.udp_port = options.tcp_port = servers.port;
  options.socket_receive_buffer_size = kReceiveBuffer;
  options.sock_state_cb = &DnsChannel::onSocket;
  options.sock_state_cb_data = this;
  std::string file = file_;
  options.resolvconf_path = file.data();
  made_ = epoll_ ? initialize() : ARES_EFILE;
  if (made_ == ARES_SUCCESS)
    made_ = ares_init_options(&channel_, &options,
                              ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT |
                                  ARES_OPT_SOCK_RCVBUF | ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF);
  if (made_ != ARES_SUCCESS) {
    channel_ = nullptr;
    return;
  }
  readSearch();
  readServers();
  loop_.watch(epoll_.get(), [this] { onReady(); });
}

DnsChannel::~DnsChannel() {
  loop_.cancel(timer_);
  if (channel_ == nullptr) return;
  loop_.unwatch(epoll_.get());
  ares_destroy(channel_);
}

void DnsChannel::readSearch() {
  ares_options options{};
  int mask = 0;
  if (ares_save_options(channel_, &options, &mask) == ARES_SUCCESS) {
    for (int i = 0; i < options.ndomains; ++i) search_.emplace_back(options.domains[i]);
    dots_for_complete_ = options.ndots;
  }
  ares_destroy_options(&options);
}

void DnsChannel::readServers() {
  ares_addr_port_node* list = nullptr;
  if (ares_get_servers_ports(channel_, &list) != ARES_SUCCESS) return;
  for (const auto* server = list; server != nullptr; server = server->next) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(server->family, &server->addr, text.data(), text.size());
    servers_ += (servers_.empty() ? "" : ", ") + std::string(text.data());
  }
  ares_free_data(list);
}

std::shared_ptr<const DnsAnswer> DnsChannel::ask(const std::string& name, int type) {
  auto answer = std::make_shared<DnsAnswer>();
  if (channel_ == nullptr) {
    answer->status = made_;
    answer->there = true;
    return answer;
  }
  // The library keeps a reference, which onAnswer takes back: whoever asked may have lost interest by then.
  auto reference = std::make_unique<std::shared_ptr<DnsAnswer>>(answer);
  ares_query(channel_, name.c_str(), ns_c_in, type, &DnsChannel::onAnswer, reference.release());
  armTimer();
  return answer;
}

void DnsChannel::onAnswer(void* reference, int status, int, unsigned char* bytes, int size) noexcept {
  const std::unique_ptr<std::shared_ptr<DnsAnswer>> answer(static_cast<std::shared_ptr<DnsAnswer>*>(reference));
  auto& [there, outcome, message] = **answer;
  outcome = status;
  there = true;
  try {
    if (status == ARES_SUCCESS) message.assign(bytes, bytes + size);
  } catch (const std::bad_alloc&) {
    outcome = ARES_ENOMEM;
  }
}

// The library says which of its sockets to wait for, and that it is about to close one.
void DnsChannel::onSocket(void* self, int socket, int readable, int writable) noexcept {
  const int epoll = static_cast<DnsChannel*>(self)->epoll_.get();
  epoll_event event{};
  event.events = (readable != 0 ? EPOLLIN : 0U) | (writable != 0 ? EPOLLOUT : 0U);
  event.data.fd = socket;
  if (event.events == 0) {
    ::epoll_ctl(epoll, EPOLL_CTL_DEL, socket, nullptr);
  } else if (::epoll_ctl(epoll, EPOLL_CTL_MOD, socket, &event) != 0) {
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event);  // where that fails too the question times out
  }
}

void DnsChannel::onReady() {
  std::array<epoll_event, kMostEvents> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    const bool readable = (event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0;
    const bool writable = (event.events & EPOLLOUT) != 0;
    ares_process_fd(channel_, readable ? event.data.fd : ARES_SOCKET_BAD, writable ? event.data.fd : ARES_SOCKET_BAD);
  }
  armTimer();
  on_answers_();
}

void DnsChannel::armTimer() {
  loop_.cancel(std::exchange(timer_, 0));
  timeval wait{};
  if (ares_timeout(channel_, nullptr, &wait) == nullptr) return;
  timer_ = loop_.after(std::max<Duration>(durationOf(wait), 1ms), [this] {
    timer_ = 0;
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    armTimer();
    on_answers_();
  });
}

std::vector<std::string> DnsChannel::candidates(const std::string& name) const {
  if (name.ends_with('.')) return {name};
  std::vector<std::string> names;
  for (const auto& domain : search_)
    if (!domain.empty()) names.push_back(name + "." + domain);
  const bool complete_first = std::count(name.begin(), name.end(), '.') >= dots_for_complete_;
  names.insert(complete_first ? names.begin() : names.end(), name);
  return names;
}

bool DnsChannel::outdated() const { return lookAt(file_) != state_of_file_; }

}  // namespace lemonade
