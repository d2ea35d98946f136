// SPDX-License-Identifier: MIT
//
// What asking costs where there are thousands of backends.
#include "support/balancer.h"
#include "support/processor_time.h"
#include "support/server.h"
#include "support/skip.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

namespace lemonade::test {
namespace {

constexpr int kBackends = 5'000;

Config manyBackends(const Server& server, int weight) {
  Config config;
  const auto port = std::to_string(portOf(server.address()));
  for (int i = 0; i < kBackends; ++i)
    config.backend("backend-" + std::to_string(i),
                   "127." + std::to_string(1 + i / 250) + ".0." + std::to_string(1 + i % 250) + ":" + port,
                   "name = \"the backend of number " + std::to_string(i) + "\"\nweight = " + std::to_string(weight));
  return config;
}

/// Resident memory in MB.
double residentMb(Process& process) {
  std::ifstream status("/proc/" + std::to_string(process.pid()) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1'024;
  return 0;
}

}  // namespace

TEST_CASE("The status of 5,000 backends takes less than 100 ms of work", "[admin]") {
  if (LEMONADE_SANITIZED) return skip("a sanitizer takes its own time");
  Server server(named("a"));
  Balancer balancer(manyBackends(server, 1));
  Millis fastest{1h};
  for (int i = 0; i < 10; ++i) {
    const auto before = processorTime(balancer.process().pid());
    const auto answer = balancer.admin("/api/v1/status");
    fastest = std::min(fastest, processorTime(balancer.process().pid()) - before);
    REQUIRE(answer.status == 200);
    CHECK(answer.body.find("\"backend-4999\"") != std::string::npos);
  }
  CHECK(fastest < 100ms * timeFactor());
}

TEST_CASE("A scrape and a status and a reload of 5,000 backends leave no more than 20 MB behind", "[admin]") {
  if (LEMONADE_SANITIZED) return skip("a sanitizer keeps what is freed");
  Server server(named("a"));
  Balancer balancer(manyBackends(server, 1));
  REQUIRE(balancer.admin("/healthz").status == 200);
  const double before = residentMb(balancer.process());
  CHECK(balancer.admin("/metrics").body.size() > 1'000 * kBackends);
  CHECK(balancer.admin("/api/v1/status").body.size() > 500 * kBackends);
  balancer.folder().write("lemonade.toml", manyBackends(server, 2).text());
  CHECK(httpGet(balancer.adminAddress(), "/api/v1/reload", "POST").status == 200);
  const auto left = [&] { return residentMb(balancer.process()) - before; };
  CAPTURE(before, left());
  CHECK(eventually([&] { return left() < 20; }));
}

}  // namespace lemonade::test
