// SPDX-License-Identifier: MIT
//
// What is refused, and warned about, of listeners whose connections the kernel is to forward.
#include "support.h"

#include <catch2/catch.hpp>

using namespace lemonade::config;
using namespace lemonade::config::test;
using Catch::Contains;

namespace {

const std::string kForward = "[proxy]\nforward = \"kernel\"\n";

}  // namespace

TEST_CASE("A listener says that the kernel forwards, and whose address backends see", "[config]") {
  const auto loaded = parsed(kForward + "listen_address = \"127.0.0.1:80\"\nsource = \"keep\"\n" + kBackend +
                             "[[listeners]]\nname = \"other\"\n" +
                             "address = \"127.0.0.1:81\"\nforward = \"relay\"\n[kernel]\nkeep = true\n");
  REQUIRE(findingsOf(loaded) == "");
  CHECK(loaded.config.listeners[0].forward == Forward::kKernel);
  CHECK(loaded.config.listeners[0].forward_source == ForwardSource::kKeep);
  CHECK(loaded.config.listeners[1].forward == Forward::kRelay);
  CHECK(loaded.config.kernel.keep);
  CHECK(loaded.config.kernel.table == "lemonade");
}

TEST_CASE("Clients of listeners that the kernel forwards take no descriptors", "[config]") {
  const auto loaded = parsed(kForward + "max_connections = 1000000\n" + kBackend + "[[listeners]]\nname = \"other\"\n" +
                             "address = \"127.0.0.1:81\"\nforward = \"relay\"\nmax_connections = 7\n");
  CHECK(relayedClients(loaded.config) == 7);
}

TEST_CASE("What would have to see the bytes is refused where the kernel forwards", "[config]") {
  const auto complaint = [](const std::string& more) { return findingsOf(parsed(kForward + more + kBackend)); };
  CHECK_THAT(complaint("accept_proxy = \"v2\"\ntrusted = [\"10.0.0.0/8\"]\n"),
             Contains("test.toml:2:1") && Contains("accept_proxy would have to read what clients send"));
  CHECK_THAT(complaint("send_proxy = \"v1\"\n"), Contains("send_proxy of its pool default"));
  CHECK_THAT(complaint("source_address = \"192.0.2.1\"\n"), Contains("has a source_address"));
  CHECK_THAT(complaint("listen_address = \"unix:/run/a.sock\"\n"), Contains("is a Unix socket, which the kernel"));
  CHECK_THAT(findingsOf(parsed(kForward + "[[backends]]\naddress = \"unix:/run/b.sock\"\n")),
             Contains("test.toml:4:11") && Contains("is a Unix socket, to which the listener default"));
}

TEST_CASE("Quiet sessions that the kernel forwards are not closed, which is a warning", "[config]") {
  CHECK_THAT(findingsOf(parsed(kForward + "rebalance = \"quiet\"\n" + kBackend)),
             Contains("warning") && Contains("nobody sees whether they are quiet"));
}

TEST_CASE("The table of the kernel has a name that nftables takes", "[config]") {
  for (const char* name : {"", "1st", "a b", "a;flush", "a-b", "_a"})
    CHECK_THAT(findingsOf(parsed(kForward + kBackend + "[kernel]\ntable = \"" + name + "\"\n")),
               Contains("kernel.table") && Contains("letters, digits and '_'"));
}
