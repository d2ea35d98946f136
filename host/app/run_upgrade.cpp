// SPDX-License-Identifier: MIT
#include "app/exit_codes.h"
#include "app/run.h"
#include "base/clock.h"
#include "config/environment.h"
#include "config/loader.h"
#include "supervisor/supervisor.h"

#include <Poco/Exception.h>
#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>
#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/Net/SocketAddress.h>
#include <signal.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr auto kAskAgain = 100ms;
constexpr auto kPatience = 75s;  // the supervisor gives the new process less

/// What the status says of who runs.
struct Seen {
  int pid = 0;
  int supervisor = 0;  ///< 0: none
  std::string version;
  std::uint64_t failures = 0;
  std::string last_failure;
};

Seen look(const Poco::Net::SocketAddress& admin) {
  Poco::Net::HTTPClientSession session(admin);
  session.setTimeout(Poco::Timespan(5, 0));
  Poco::Net::HTTPRequest request("GET", "/api/v1/status", Poco::Net::HTTPRequest::HTTP_1_1);
  session.sendRequest(request);
  Poco::Net::HTTPResponse response;
  const auto status = Poco::JSON::Parser().parse(session.receiveResponse(response)).extract<Poco::JSON::Object::Ptr>();
  Seen seen;
  seen.pid = status->getValue<int>("pid");
  seen.version = status->getValue<std::string>("version");
  if (const auto supervisor = status->getObject("supervisor")) {
    seen.supervisor = supervisor->getValue<int>("pid");
    seen.failures = supervisor->getValue<std::uint64_t>("failed_upgrades");
    seen.last_failure = supervisor->getValue<std::string>("last_failure");
  }
  return seen;
}

/// Where this machine reaches an admin listener, which may listen at any address.
Poco::Net::SocketAddress reachable(const std::string& listens) {
  Poco::Net::SocketAddress address(listens);
  if (!address.host().isWildcard()) return address;
  return {address.host().family() == Poco::Net::IPAddress::IPv6 ? "::1" : "127.0.0.1", address.port()};
}

int fail(const std::string& why) {
  std::cerr << "lemonade upgrade: " << why << "\n";
  return kRuntimeError;
}

/// Whoever answers may be another program, or a balancer in a container whose process ids are others than here.
bool isLemonade(int pid) {
  std::string name;
  return static_cast<bool>(std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name)) &&
         name == "lemonade";
}

int askAndWait(const Poco::Net::SocketAddress& admin, bool rollback) {
  const Seen before = look(admin);
  if (before.supervisor == 0)
    return fail("the balancer runs without a supervisor; set runtime.supervisor to \"on\" and start it anew");
  if (!isLemonade(before.supervisor))
    return fail("who answers at " + admin.toString() + " names process " + std::to_string(before.supervisor) +
                " as its supervisor, which is none here; run this where the balancer runs");
  sigval value{};
  value.sival_int = rollback ? supervisor::kRollBack : 0;
  if (::sigqueue(before.supervisor, SIGUSR2, value) != 0)
    return fail("cannot signal the supervisor, process " + std::to_string(before.supervisor) + ": " +
                std::strerror(errno) + "; run this as root or as the user of the balancer");
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kAskAgain);
    const Seen now = look(admin);
    if (now.pid != before.pid) {
      std::cout << "upgraded: version " << before.version << ", process " << before.pid << " -> version " << now.version
                << ", process " << now.pid << "\n";
      return kSuccess;
    }
    if (now.failures != before.failures)
      return fail(now.last_failure + "; the balancer goes on as before, its log says more");
  }
  return fail("nothing came of it within " + std::to_string(kPatience / 1s) + " s; look at the log");
}

}  // namespace

int runUpgrade(const UpgradeArguments& arguments) try {
  const auto loaded = config::load({arguments.config, config::processEnvironment(), {}});
  // Without a file only the admin address counts; what else the environment lacks stands in the balancer's own.
  if (arguments.config && !loaded.ok()) {
    for (const auto& finding : loaded.findings)
      if (finding.severity == config::Severity::kError) std::cerr << finding.line() << "\n";
    return kConfigurationError;
  }
  if (!loaded.config.admin)
    return fail("the configuration has no admin listener to ask; send SIGUSR2 to the supervisor and look at the log");
  const auto admin = reachable(loaded.config.admin->address);
  try {
    return askAndWait(admin, arguments.rollback);
  } catch (const Poco::Exception& e) {
    return fail("no balancer answers at " + admin.toString() + ": " + e.displayText() + "; is this its configuration?");
  }
} catch (const std::exception& e) {
  return fail(e.what());
}

}  // namespace lemonade::app
