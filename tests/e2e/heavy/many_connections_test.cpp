// SPDX-License-Identifier: MIT
//
// Many connections at once, with much to carry: what a sanitizer build runs, too.
#include "support/balancer.h"
#include "support/pattern.h"
#include "support/server.h"

#include <catch2/catch.hpp>
#include <future>
#include <vector>

namespace lemonade::test {
namespace {

constexpr std::size_t kMiB = 1024 * 1024;

}  // namespace

TEST_CASE("Two hundred connections carry one gigabyte each way without a wrong byte", "[heavy]") {
  constexpr unsigned kConnections = 200;
  constexpr std::size_t kEach = 1024 * kMiB / kConnections;
  Server server([](Socket& socket) {
    if (socket.next() == End::kClosed) return;
    const auto seed = static_cast<unsigned>(std::stoul(socket.receiveLine()));
    if (exchange(socket, Pattern(seed), Pattern(seed + 1), kEach)) socket.send("!");
  });
  Balancer balancer(Config().set("runtime.workers", 2).backend("a", server.address()));

  std::vector<std::future<bool>> clients;
  for (unsigned i = 0; i < kConnections; ++i)
    clients.push_back(std::async(std::launch::async, [&balancer, i] {
      Socket socket = balancer.connect();
      socket.send(std::to_string(i) + "\n");
      return exchange(socket, Pattern(i + 1), Pattern(i), kEach) && socket.receive(1) == "!";
    }));
  unsigned right = 0;
  for (auto& client : clients) right += client.get();
  CHECK(right == kConnections);
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
}

}  // namespace lemonade::test
