// SPDX-License-Identifier: MIT
//
// Settings are read from a folder of the test's own; rights and parts are those of a real kernel.
#include "kernel/support.h"

#include "kernel/exchange_times.h"
#include "lab.h"
#include "plans.h"
#include "support/proc_folder.h"

#include <linux/capability.h>

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace lemonade::kernel;
using namespace lemonade::test;

namespace {

std::string textOf(const Lacks& lacks, bool fatal) {
  std::string text;
  for (const auto& lack : lacks)
    if (lack.fatal == fatal) text += lack.what + " | " + lack.mend + "\n";
  return text;
}

Wants wants(const std::vector<std::string>& backends = {}) {
  Wants wants;
  wants.ipv4 = wants.ipv6 = true;
  for (const auto& backend : backends) wants.backends.push_back(at(backend));
  return wants;
}

}  // namespace

TEST_CASE("A machine that does not forward is named by family, with the command", "[kernel]") {
  ProcFolder proc;
  proc.write("/sys/net/ipv4/ip_forward", "0\n").write("/sys/net/ipv6/conf/all/forwarding", "0\n");
  auto wanted = wants();
  CHECK_THAT(textOf(examineSettings(wanted, proc.path), true),
             Catch::Contains("sysctl -w net.ipv4.ip_forward=1") &&
                 Catch::Contains("sysctl -w net.ipv6.conf.all.forwarding=1"));
  wanted.ipv6 = false;
  CHECK_THAT(textOf(examineSettings(wanted, proc.path), true), !Catch::Contains("ipv6"));
  proc.write("/sys/net/ipv4/ip_forward", "1\n");
  CHECK(examineSettings(wanted, proc.path).empty());
}

TEST_CASE("Without events nothing works, without counters only numbers are missing", "[kernel]") {
  ProcFolder proc;
  const std::string folder = "/sys/net/netfilter/nf_conntrack_";
  proc.write(folder + "events", "0\n").write(folder + "acct", "0\n").write(folder + "timestamp", "0\n");
  const auto lacks = examineSettings(wants(), proc.path);
  CHECK_THAT(textOf(lacks, true), Catch::Contains("nf_conntrack_events is 0"));
  CHECK_THAT(textOf(lacks, false),
             Catch::Contains("nf_conntrack_acct=1") && Catch::Contains("nf_conntrack_timestamp=1"));
  proc.write(folder + "events", "2\n");
  CHECK(textOf(examineSettings(wants(), proc.path), true).empty());
  CHECK_THAT(textOf(examineSettings(wants(), proc.path), false), Catch::Contains("nf_conntrack_events=1"));
}

TEST_CASE("Conntrack must have room for the connections, and should have it for those that ended", "[kernel]") {
  ProcFolder proc;
  const std::string file = "/sys/net/netfilter/nf_conntrack_max";
  auto wanted = wants();
  wanted.connections = 100'000;
  proc.write(file, "65536\n");
  CHECK_THAT(textOf(examineSettings(wanted, proc.path), true),
             Catch::Contains("nf_conntrack_max is 65536, and 100000 connections") &&
                 Catch::Contains("sysctl -w net.netfilter.nf_conntrack_max=262144"));
  proc.write(file, "150000\n");
  CHECK_THAT(textOf(examineSettings(wanted, proc.path), false), Catch::Contains("stay for 120 seconds"));
  proc.write(file, "200000\n");
  CHECK(examineSettings(wanted, proc.path).empty());
}

TEST_CASE("Masquerading has so many ports for each address of a backend", "[kernel]") {
  const ProcFolder proc;
  auto wanted = wants({"10.0.0.1:80", "10.0.0.2:80"});
  wanted.connections = 200'000;
  CHECK(examineSettings(wanted, proc.path).empty());
  wanted.masquerade = true;
  CHECK_THAT(textOf(examineSettings(wanted, proc.path), false),
             Catch::Contains("64512 ports") && Catch::Contains("2 addresses of backends"));
  wanted.connections = 129'000;
  CHECK(examineSettings(wanted, proc.path).empty());
}

TEST_CASE("Backends on loopback are told where packets from elsewhere cannot get to them", "[kernel]") {
  ProcFolder proc;
  proc.write("/sys/net/ipv4/conf/all/route_localnet", "0\n").write("/sys/net/ipv4/conf/lo/route_localnet", "1\n");
  const auto fatal = [&](const std::string& backend) {
    return textOf(examineSettings(wants({backend}), proc.path), true);
  };
  CHECK_THAT(fatal("127.0.0.3:80"), Catch::Contains("127.0.0.3:80 cannot be forwarded to") &&
                                        Catch::Contains("net.ipv4.conf.IF.route_localnet=1"));
  CHECK(fatal("10.0.0.1:80").empty());
  proc.write("/sys/net/ipv4/conf/eth0/route_localnet", "1\n");
  CHECK(fatal("127.0.0.3:80").empty());
  CHECK_THAT(fatal("[::1]:80"), Catch::Contains("[::1]:80 cannot be forwarded to"));
}

TEST_CASE("Rights are read as the kernel shows them", "[kernel]") {
  ProcFolder proc;
  CHECK(examineRights(proc.path).empty());  // it does not say
  proc.write("/self/status", "Name:\tx\nCapInh:\t0000000000000000\nCapEff:\t0000000000003000\n");
  CHECK(examineRights(proc.path).empty());
  proc.write("/self/status", "CapEff:\t0000000000001000\n");
  CHECK_THAT(textOf(examineRights(proc.path), true),
             Catch::Contains("CAP_NET_RAW") && !Catch::Contains("CAP_NET_ADMIN, "));
  proc.write("/self/status", "CapEff:\t0000000000000000\n");
  CHECK(examineRights(proc.path).size() == 2);
}

TEST_CASE("What timing exchanges lacks is told by name, with its mend", "[kernel]") {
  if (!ExchangeTimes::checkBuild()) return;  // which is all that is told then: tests/kernel
  ProcFolder proc;
  proc.write("/self/status", "CapEff:\t000000c000003000\n").write("/sys/kernel/osrelease", "6.4.0-1-amd64\n");
  CHECK_THAT(textOf(examineExchanges(proc.path), true), !Catch::Contains("CAP_") && !Catch::Contains("Linux 6.4"));
  proc.write("/sys/kernel/osrelease", "6.1.0-18-amd64\n");
  CHECK_THAT(textOf(examineExchanges(proc.path), true), Catch::Contains("by Linux 6.1: it takes 6.4 or later"));
  proc.write("/sys/kernel/osrelease", "10.0\n");
  CHECK_THAT(textOf(examineExchanges(proc.path), true), !Catch::Contains("Linux 10"));
  proc.write("/self/status", "CapEff:\t0000008000003000\n");
  CHECK_THAT(textOf(examineExchanges(proc.path), true), Catch::Contains("lacks CAP_PERFMON") &&
                                                            !Catch::Contains("lacks CAP_BPF") &&
                                                            Catch::Contains("SystemCallFilter=bpf"));
  proc.write("/self/status", "CapEff:\t0000000000003000\n");
  CHECK_THAT(textOf(examineExchanges(proc.path), true),
             Catch::Contains("lacks CAP_BPF") && Catch::Contains("lacks CAP_PERFMON"));
  proc.write("/self/status", "CapEff:\t0000000000200000\n");  // CAP_SYS_ADMIN, which has both in it
  CHECK_THAT(textOf(examineExchanges(proc.path), true), !Catch::Contains("lacks"));
}

TEST_CASE("turnOnAccounting turns on what is off and says what it may not", "[kernel]") {
  ProcFolder proc;
  const std::string folder = "/sys/net/netfilter/nf_conntrack_";
  CHECK(turnOnAccounting(proc.path).turned_on.empty());
  proc.write(folder + "acct", "0\n").write(folder + "timestamp", "1\n");
  CHECK(turnOnAccounting(proc.path).turned_on == std::vector<std::string>{"net.netfilter.nf_conntrack_acct"});
  CHECK(proc.read(folder + "acct") == "1\n");
  proc.write(folder + "events", "2\n");
  CHECK(turnOnAccounting(proc.path).turned_on == std::vector<std::string>{"net.netfilter.nf_conntrack_events"});
  CHECK(proc.read(folder + "events") == "1\n");
  CHECK(turnOnAccounting(proc.path).turned_on.empty());
}

TEST_CASE("A chain of another that drops what is forwarded is a warning with the rule that lets it pass", "[kernel]") {
  CHECK_THAT(
      textOf(examineForwardChains(R"({"nftables": [{"chain": {"family": "ip", "table": "filter",
      "name": "FORWARD", "hook": "forward", "policy": "drop"}}]})"),
             false),
      Catch::Contains("ip filter FORWARD drops") && Catch::Contains("insert rule ip filter FORWARD ct status dnat"));
  CHECK(examineForwardChains("no JSON").empty());
}

TEST_CASE("A kernel that has all parts lacks none, and without the right that is what is told", "[kernel]") {
  inTestNetwork([] {
    CHECK(examineParts("lemonade").empty());
    giveUpCapability(CAP_NET_ADMIN);
    CHECK_THAT(textOf(examineParts("lemonade"), true), Catch::Contains("CAP_NET_ADMIN"));
  });
}

TEST_CASE("examineSupport asks the machine it is on", "[kernel]") {
  inTestNetwork([] {
    nft("table ip other { chain forward { type filter hook forward priority 0; policy drop; }; }");
    shell("echo 0 >/proc/sys/net/ipv4/ip_forward");
    const auto lacks = examineSupport("lemonade", 0x4c4d, wants());
    CHECK_THAT(textOf(lacks, true), Catch::Contains("net.ipv4.ip_forward is 0"));
    CHECK_THAT(textOf(lacks, false), Catch::Contains("the chain ip other forward drops"));
  });
}
