// SPDX-License-Identifier: MIT
#include "doctor/forwarding.h"

#include "support/proc_folder.h"

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace lemonade::doctor;

namespace {

/// Of a process with no rights, so that no part of the real kernel is asked.
struct ProcWithoutRights : test::ProcFolder {
  ProcWithoutRights() { write("/self/status", "CapEff:\t0000000000000000\n"); }
};

config::Config forwarding() {
  config::Config config;
  config.listeners.push_back({});
  auto& listener = config.listeners.back();
  listener.name = "web";
  listener.addresses = {{"0.0.0.0:80", {}}};
  listener.forward = config::Forward::kKernel;
  return config;
}

/// Those that are told of a level, each as "what (where)".
std::string textOf(const Findings& findings, Level level) {
  std::string text;
  for (const auto& finding : findings)
    if (finding.level == level) text += finding.what + " (" + finding.where + ")\n";
  return text;
}

}  // namespace

TEST_CASE("Nothing is said of forwarding where no listener is forwarded by the kernel", "[doctor]") {
  const ProcWithoutRights proc;
  CHECK(examineForwarding({}, {}, proc.path).empty());
}

TEST_CASE("What the machine lacks for forwarding is told with the listener's key", "[doctor]") {
  ProcWithoutRights proc;
  proc.write("/sys/net/ipv4/ip_forward", "0\n");
  proc.write("/sys/net/ipv6/conf/all/forwarding", "0\n");
  proc.write("/sys/net/netfilter/nf_conntrack_acct", "0\n");
  const auto findings = examineForwarding(forwarding(), {}, proc.path);
  CHECK_THAT(textOf(findings, Level::kProblem),
             Catch::Contains("CAP_NET_ADMIN") && Catch::Contains("net.ipv4.ip_forward is 0 (listeners.web.forward)") &&
                 !Catch::Contains("ipv6"));
  CHECK_THAT(textOf(findings, Level::kWarning), Catch::Contains("nf_conntrack_acct is 0"));
}

TEST_CASE("Only backends of pools that the kernel forwards to are looked at", "[doctor]") {
  const ProcWithoutRights proc;
  auto config = forwarding();
  config.pools.push_back({});
  config.pools[1].name = "other";
  Patients patients(1);
  patients[0].address = *Address::parse("127.0.0.1:80");
  patients[0].pool = &config.pools[1];
  CHECK_THAT(textOf(examineForwarding(config, patients, proc.path), Level::kProblem), !Catch::Contains("127.0.0.1"));
  patients[0].pool = &config.pools[0];
  CHECK_THAT(textOf(examineForwarding(config, patients, proc.path), Level::kProblem),
             Catch::Contains("127.0.0.1:80 cannot be forwarded to"));
}
