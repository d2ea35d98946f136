// SPDX-License-Identifier: MIT
//
// A client behind a slow link, in a network of its own: what its backend sent before a reset arrives, however long the
// link takes.
#include "support/balancer.h"
#include "support/pattern.h"
#include "support/privilege.h"
#include "support/server.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <future>

namespace lemonade::test {
namespace {

constexpr std::size_t kSize = 600'000;

bool succeeds(const Arguments& command) { return run(command).code == 0; }

/// Sends the pattern, waits until the balancer's kernel has all of it, and resets.
void sendAndReset(Socket& socket) {
  if (socket.receive(1).empty()) return;
  transmit(socket, Pattern(1), 0, kSize);
  (void)eventually([&] {
    int waiting = 0;
    return ::ioctl(socket.fd(), SIOCOUTQ, &waiting) != 0 || waiting == 0;
  });
  socket.reset();
}

/// Bytes of the pattern that arrive before the reset; 0 where anything else happens.
std::size_t receiveUntilReset(const std::string& address) {
  Socket client = Socket::connect(address);
  client.send("?");
  std::size_t arrived = 0;
  try {
    for (char bytes[4096]; const std::size_t n = client.receiveSome(bytes, sizeof(bytes)); arrived += n)
      if (Pattern(1).at(arrived, n) != std::string_view(bytes, Pattern(1).at(arrived, n).size())) return 0;
  } catch (const ResetError&) {
    return arrived;
  }
  return 0;
}

}  // namespace

TEST_CASE("What came before a reset crosses a link of 500 kbit a second", "[bytes]") {
  if (!isRoot()) return skip("needs root for networks of its own");
  inOwnNetwork([] {
    std::promise<pid_t> far_thread;
    std::promise<std::string> listening;
    auto arrived = std::async(std::launch::async, [&] {
      std::size_t size = 0;
      inOwnNetwork([&] {
        far_thread.set_value(::gettid());
        const std::string address = listening.get_future().get();
        if (address.empty()) return;
        REQUIRE(succeeds({"ip", "address", "add", "10.9.0.2/24", "dev", "far"}));
        REQUIRE(succeeds({"ip", "link", "set", "far", "up"}));
        size = receiveUntilReset(address);
      });
      return size;
    });
    const std::string far = std::to_string(far_thread.get_future().get());
    const bool linked = succeeds({"ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", far}) &&
                        succeeds({"ip", "address", "add", "10.9.0.1/24", "dev", "near"}) &&
                        succeeds({"ip", "link", "set", "near", "up"}) &&
                        succeeds({"tc", "qdisc", "add", "dev", "near", "root", "tbf", "rate", "500kbit", "burst", "20k",
                                  "limit", "100k"});
    if (!linked) {
      listening.set_value("");
      (void)arrived.get();
      return skip("needs links (veth) and a rate limit (tc tbf)");
    }
    Server server(sendAndReset);
    Balancer balancer(Config().set("proxy.listen_address", "10.9.0.1:0").backend("a", server.address()));
    listening.set_value(balancer.address());
    CHECK(arrived.get() == kSize);
  });
}

}  // namespace lemonade::test
