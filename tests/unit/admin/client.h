// SPDX-License-Identifier: MIT
//
// A client of the admin server under test that sends any bytes, and handlers for it.
#pragma once

#include "admin/server.h"
#include "base/fd.h"

#include <Poco/Net/SocketAddress.h>

#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>

namespace lemonade::admin {

using namespace std::chrono_literals;

inline Fd connectTo(const std::string& address) {
  const Poco::Net::SocketAddress to(address);
  Fd fd(::socket(to.af(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(fd.get(), to.addr(), to.length()) == 0);
  return fd;
}

inline void sendAll(const Fd& fd, std::string_view text) {
  while (!text.empty()) {
    const auto sent = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // the server had enough
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

/// Everything until the server closes; "TIMEOUT" where it does not.
inline std::string readAll(const Fd& fd, Duration limit = 10s) {
  std::string text;
  const auto deadline = nowNs() + static_cast<std::uint64_t>(limit.count());
  for (char buffer[4'096]; nowNs() < deadline;) {
    pollfd entry{fd.get(), POLLIN, 0};
    if (::poll(&entry, 1, static_cast<int>((deadline - nowNs()) / 1'000'000) + 1) <= 0) break;
    const auto got = ::recv(fd.get(), buffer, sizeof(buffer), 0);
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return "TIMEOUT";
}

inline std::string ask(const Server& server, const std::string& request) {
  const auto fd = connectTo(server.address());
  sendAll(fd, request);
  return readAll(fd);
}

inline std::string get(const Server& server, const std::string& path, const std::string& method = "GET") {
  return ask(server, method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
}

inline std::string statusOf(const std::string& response) { return response.substr(0, response.find("\r\n")); }
inline std::string bodyOf(const std::string& response) {
  const auto end = response.find("\r\n\r\n");
  return end == std::string::npos ? "no header" : response.substr(end + 4);
}

inline Response hello(const Request&) { return {.status = 200, .content_type = "text/plain", .body = "hello"}; }

inline void startWith(Server& server, const std::string& address = "127.0.0.1:0") {
  server.handle("GET", "/hello", Prompt{hello});
  const auto started = server.start(address);
  REQUIRE(started.ok());
}

/// A door that handlers wait behind.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  int waiting = 0;
  bool open = false;

  void pass() {
    std::unique_lock lock(mutex);
    ++waiting;
    changed.notify_all();
    changed.wait(lock, [&] { return open; });
    --waiting;
    changed.notify_all();
  }
  bool awaitWaiting(int count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 10s, [&] { return waiting == count; });
  }
  void release() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
};

}  // namespace lemonade::admin
