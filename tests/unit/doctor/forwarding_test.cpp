// SPDX-License-Identifier: MIT
#include "doctor/forwarding.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace lemonade;
using namespace lemonade::doctor;

namespace {

/// A folder like /proc of a process with no rights, so that no part of the real kernel is asked.
class Proc {
 public:
  Proc() {
    char name[] = "/tmp/lemonade-proc-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
    write("/self/status", "CapEff:\t0000000000000000\n");
  }
  ~Proc() { std::filesystem::remove_all(path); }
  Proc(const Proc&) = delete;
  Proc& operator=(const Proc&) = delete;

  void write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path + file).parent_path());
    std::ofstream(path + file) << text;
  }
  std::string path;
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
  const Proc proc;
  CHECK(examineForwarding({}, {}, proc.path).empty());
}

TEST_CASE("What the machine lacks for forwarding is told with the listener's key", "[doctor]") {
  Proc proc;
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
  const Proc proc;
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
