// SPDX-License-Identifier: MIT
//
// What is read of /proc, from a folder of the test's own.
#include "doctor/kernel.h"

#include "doctor/ports.h"
#include "doctor/proc_net.h"
#include "support/proc_folder.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <regex>
#include <sstream>

using namespace lemonade;
using namespace lemonade::doctor;
using lemonade::test::ProcFolder;

namespace {

std::string textOf(const Findings& findings, Level level) {
  std::string text;
  for (const auto& finding : findings)
    if (finding.level == level) text += finding.what + " | " + finding.mend + "\n";
  return text;
}

/// As the file that is shipped has it: "net.core.somaxconn = 65535".
std::string shippedSettings() {
  std::ostringstream text;
  text << std::ifstream(std::string(LEMONADE_SOURCE_DIR) + "/config/sysctl.d/60-lemonade.conf").rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("The doctor recommends what the shipped file sets and all of that", "[doctor]") {
  const std::string shipped = shippedSettings();
  for (const auto& setting : kernelSettings())
    CHECK_THAT(shipped,
               Catch::Contains("\n" + std::string(setting.name) + " = " + std::to_string(setting.recommended)) ||
                   Catch::Contains("\n-" + std::string(setting.name) + " = " + std::to_string(setting.recommended)));
  const std::regex line("\n-?(net[.a-z0-9_]+) =");
  int others = 0;
  for (std::sregex_iterator one(shipped.begin(), shipped.end(), line), end; one != end; ++one) {
    const std::string name = (*one)[1];
    const auto settings = kernelSettings();
    if (std::any_of(settings.begin(), settings.end(), [&](const auto& setting) { return name == setting.name; }))
      continue;
    CAPTURE(name);
    CHECK(name.find("ip_local_") != std::string::npos);  // which the ports look at
    ++others;
  }
  CHECK(others == 2);
}

TEST_CASE("A setting that is not as recommended is a warning with its command", "[doctor]") {
  ProcFolder proc;
  proc.write("/sys/net/core/somaxconn", "4096\n")
      .write("/sys/net/ipv4/tcp_fin_timeout", "20\n")
      .write("/sys/net/ipv4/tcp_tw_reuse", "2\n");
  const auto findings = examineKernel({}, proc.path);
  CHECK_THAT(textOf(findings, Level::kWarning), Catch::Contains("net.core.somaxconn is 4096; 65535 is recommended") &&
                                                    Catch::Contains("sysctl -w net.core.somaxconn=65535") &&
                                                    Catch::Contains("tcp_tw_reuse is 2; 1 is"));
  CHECK_THAT(textOf(findings, Level::kOk), Catch::Contains("tcp_fin_timeout is 20"));
  CHECK(textOf(findings, Level::kProblem).empty());
  CHECK(findings.size() == 3);  // what the kernel does not have is passed over
}

TEST_CASE("A backlog that the kernel cuts is named", "[doctor]") {
  ProcFolder proc;
  proc.write("/sys/net/core/somaxconn", "128\n");
  config::Config config;
  CHECK_THAT(textOf(examineKernel(config, proc.path), Level::kWarning),
             Catch::Contains("backlog is 4096, and the kernel makes it 128"));
  config.listeners[0].backlog = 100;
  CHECK_THAT(textOf(examineKernel(config, proc.path), Level::kWarning), !Catch::Contains("backlog is"));
}

TEST_CASE("Reserved ports are none to connect from", "[doctor]") {
  ProcFolder proc;
  CHECK(!portRange(proc.path));
  proc.write("/sys/net/ipv4/ip_local_port_range", "10000\t10999\n");
  CHECK(portRange(proc.path)->count == 1'000);
  proc.write("/sys/net/ipv4/ip_local_reserved_ports", "80,10000-10009,10500,10990-20000\n");
  const auto range = portRange(proc.path);
  CHECK(range->first == 10'000);
  CHECK(range->count == 1'000 - 10 - 1 - 10);
}

TEST_CASE("Ports are shared by all addresses of a pool and bounded by max_connections of a backend", "[doctor]") {
  ProcFolder proc;
  proc.write("/sys/net/ipv4/ip_local_port_range", "10000 10999\n");
  config::Config config;
  config.listeners[0].max_connections = 1'900;
  Patients patients(2);
  for (std::size_t i = 0; i < patients.size(); ++i) {
    patients[i].pool = &config.pools[0];
    patients[i].address = *Address::parse("10.0.0." + std::to_string(i + 1) + ":80");
  }
  const auto levelOf = [&] { return examinePorts(config, patients, {}, proc.path).at(0).level; };
  CHECK(levelOf() == Level::kOk);
  config.listeners[0].max_connections = 2'100;
  CHECK(levelOf() == Level::kProblem);
  for (auto& patient : patients) patient.backend.max_connections = 900;
  CHECK(levelOf() == Level::kOk);
  const std::vector<TcpSocket> sockets(3, {*Address::parse("10.9.9.9:10001"), patients[0].address});
  CHECK_THAT(examinePorts(config, patients, sockets, proc.path).at(0).what, Catch::Contains("3 in use to 10.0.0.1:80"));
}

TEST_CASE("Sockets are read as the kernel lists them in both families", "[doctor]") {
  ProcFolder proc;
  const std::string head =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
  proc.write("/net/tcp",
             head +
                 "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1\n"
                 "   1: 0100007F:9C40 0101A8C0:0050 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1\n"
                 "   2: rubbish\n");
  proc.write("/net/tcp6", head +
                              "   0: 00000000000000000000000001000000:1F91 00000000000000000000000000000000:0000 0A "
                              "00000000:00000000 00:00000000 00000000  1000        0 4713 1\n"
                              "   1: 0000000000000000FFFF00000100007F:1F92 0000000000000000FFFF00000201A8C0:0051 01 "
                              "00000000:00000000 00:00000000 00000000  1000        0 4714 1\n");
  const auto sockets = tcpSockets(proc.path);
  REQUIRE(sockets.size() == 4);
  CHECK(sockets[0].local.text() == "127.0.0.1:8080");
  CHECK(sockets[0].listening);
  CHECK(sockets[0].inode == 4711);
  CHECK(sockets[1].remote.text() == "192.168.1.1:80");
  CHECK(!sockets[1].listening);
  CHECK(sockets[2].local.text() == "[::1]:8081");
  CHECK(sockets[3].remote.text() == "192.168.1.2:81");
}

TEST_CASE("The holder of a socket is the process that has it open", "[doctor]") {
  ProcFolder proc;
  proc.write("/42/comm", "nginx\n").write("/7/comm", "nginx\n").write("/self/comm", "me\n");
  for (const char* process : {"/42", "/7", "/self"}) {
    std::filesystem::create_directories(proc.path + process + "/fd");
    std::filesystem::create_symlink("socket:[4711]", proc.path + process + "/fd/6");
  }
  const auto holder = holderOf(4711, proc.path);
  REQUIRE(holder);
  CHECK(holder->pid == 7);
  CHECK(holder->name == "nginx");
  CHECK(!holderOf(4712, proc.path));
}
