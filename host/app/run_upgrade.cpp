// SPDX-License-Identifier: MIT
#include "app/exit_codes.h"
#include "app/run.h"
#include "base/clock.h"
#include "cli/client.h"
#include "cli/document.h"
#include "cli/place.h"
#include "supervisor/supervisor.h"

#include <signal.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr auto kAskAgain = 100ms;
constexpr Duration kStatusWithin = 5s;
constexpr auto kPatience = 75s;  // the supervisor gives the new process less

/// What the status says of who runs.
struct Seen {
  int pid = 0;
  int supervisor = 0;  ///< 0: none
  std::string version;
  std::uint64_t failures = 0;
  std::string last_failure;
};

Result<Seen> look(cli::Client& client) {
  const auto reply = client.ask("GET", "/api/v1/status", kStatusWithin);
  if (!reply) return reply.error();
  const auto status = cli::parseDocument(reply.value().body);
  if (!status) return status.error();
  Seen seen;
  seen.pid = static_cast<int>(cli::numberIn(status.value(), "pid"));
  seen.version = cli::textIn(status.value(), "version");
  if (const auto supervisor = cli::objectIn(status.value(), "supervisor")) {
    seen.supervisor = static_cast<int>(cli::numberIn(supervisor, "pid"));
    seen.failures = static_cast<std::uint64_t>(cli::numberIn(supervisor, "failed_upgrades"));
    seen.last_failure = cli::textIn(supervisor, "last_failure");
  }
  return seen;
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

/// What came of it; the supervisor has been asked.
int await(cli::Client& client, const Seen& before) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kAskAgain);
    const auto looked = look(client);
    if (!looked) return fail(looked.error().message);
    const Seen& now = looked.value();
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

int askAndWait(cli::Client& client, bool rollback) {
  const auto looked = look(client);
  if (!looked) return fail(looked.error().message);
  const Seen& before = looked.value();
  if (before.supervisor == 0)
    return fail("the balancer runs without a supervisor; set runtime.supervisor to \"on\" and start it anew");
  if (!isLemonade(before.supervisor))
    return fail("who answers at " + client.place().text() + " names process " + std::to_string(before.supervisor) +
                " as its supervisor, which is none here; run this where the balancer runs");
  sigval value{};
  value.sival_int = rollback ? supervisor::kRollBack : 0;
  if (::sigqueue(before.supervisor, SIGUSR2, value) != 0)
    return fail("cannot signal the supervisor, process " + std::to_string(before.supervisor) + ": " +
                std::strerror(errno) + "; run this as root or as the user of the balancer");
  return await(client, before);
}

}  // namespace

int runUpgrade(const UpgradeArguments& arguments) try {
  cli::Options options;
  options.admin = arguments.admin;
  options.config = arguments.config;
  const auto place = cli::findPlace(options);
  if (!place) {
    std::cerr << place.error().message << "\n";
    return kConfigurationError;
  }
  cli::Client client(place.value(), "");
  return askAndWait(client, arguments.rollback);
} catch (const std::exception& e) {
  return fail(e.what());
}

}  // namespace lemonade::app
