// SPDX-License-Identifier: MIT
#include "resolver.h"

#include <netdb.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

namespace lemonade::datagrams {

/// One look-up; owned by its thread and by the resolver that waits for it.
struct Resolver::Lookup {
  std::mutex mutex;
  std::condition_variable ended;
  std::optional<Found> found;
};

namespace {

Found lookUp(const std::string& host, const std::string& port) {
  Found result;
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* list = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
  if (failed != 0) {
    result.problem = ::gai_strerror(failed);
    return result;
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  for (const auto* one = list; one != nullptr; one = one->ai_next) {
    SocketAddress address;
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    address.size = one->ai_addrlen;
    result.addresses.push_back(address);
  }
  return result;
}

}  // namespace

void Resolver::start() {
  if (lookup_) return;
  auto lookup = std::make_shared<Lookup>();
  std::thread([lookup, host = host_, port = port_] {
    Found found;
    try {
      found = lookUp(host, port);
    } catch (const std::exception& e) {
      found.problem = e.what();
    }
    const std::lock_guard lock(lookup->mutex);
    lookup->found = std::move(found);
    lookup->ended.notify_all();
  }).detach();
  lookup_ = std::move(lookup);
}

std::optional<Found> Resolver::take(std::chrono::nanoseconds wait) {
  if (!lookup_) return std::nullopt;
  std::unique_lock lock(lookup_->mutex);
  if (!lookup_->ended.wait_for(lock, wait, [this] { return lookup_->found.has_value(); })) return std::nullopt;
  auto found = std::move(lookup_->found);
  lock.unlock();
  lookup_.reset();
  return found;
}

}  // namespace lemonade::datagrams
