// SPDX-License-Identifier: MIT
//
// A balancer whose pools and listeners come and go with each reload, while clients of the pools that stay never rest.
#pragma once

#include "e2e/processes.h"
#include "e2e/restless.h"

#include <Poco/JSON/Array.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace lemonade::test {

class ChangingPools {
 public:
  /// What a process has that must not grow.
  struct Footprint {
    std::size_t descriptors = 0;
    std::string threads;
    double images = 0;  ///< of plugins
    long resident_kib = 0;
  };

  ChangingPools() : balancer_(base(), Restless::withOwnLevel({})) { reload(0); }

  /// Replaces the pools that come and go, each with a listener; the default pool and "steady" stay.
  void reload(int change) {
    balancer_.folder().write("lemonade.toml", text(change));
    const auto answer = requestReload(balancer_);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
  }

  /// The names of the pools after that many changes, but for those that stay.
  static std::vector<std::string> passing(int change) {
    std::vector<std::string> names;
    for (int i = 0; i < 3; ++i) names.push_back("passing-" + std::to_string((change + i) % 7));
    return names;
  }

  /// Where a listener accepts clients.
  std::string addressOf(const std::string& name) {
    const auto listeners = balancer_.status()->getArray("listeners");
    for (unsigned i = 0; i < listeners->size(); ++i)
      if (const auto one = listeners->getObject(i); one->getValue<std::string>("name") == name)
        return one->getArray("addresses")->getElement<std::string>(0);
    throw std::out_of_range("the balancer has no listener " + name);
  }

  /// Sorted.
  std::vector<std::string> pools() {
    std::vector<std::string> names;
    const auto pools = balancer_.status()->getArray("pools");
    for (unsigned i = 0; i < pools->size(); ++i) names.push_back(pools->getObject(i)->getValue<std::string>("name"));
    std::sort(names.begin(), names.end());
    return names;
  }

  Footprint footprint() {
    const int pid = balancer_.status()->getValue<int>("pid");
    Footprint now;
    for (const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
      (void)fd;
      ++now.descriptors;
    }
    now.threads = statusOf(pid, "Threads");
    now.images = balancer_.metric("lemonade_plugin_mapped_generations");
    now.resident_kib = std::stol(statusOf(pid, "VmRSS"));
    return now;
  }

  Balancer& balancer() { return balancer_; }

 private:
  Config base() const { return unwatched().backend("a", a_.address()); }

  std::string table(const std::string& name, const Server& server) const {
    return "[[listeners]]\nname = \"" + name + "\"\naddress = \"127.0.0.1:0\"\npool = \"" + name + "\"\n[pools." +
           name + "]\nstrategy = \"round_robin\"\n[[pools." + name + ".backends]]\nid = \"one\"\naddress = \"" +
           server.address() + "\"\n";
  }

  std::string text(int change) const {
    std::string text = base().text() + table("steady", b_);
    for (const auto& name : passing(change)) text += table(name, c_);
    return text;
  }

  Server a_{http("a")}, b_{http("b")}, c_{http("c")};
  Balancer balancer_;
};

/// So many reloads that each remove a pool with its listener and add another: no request fails, nothing grows.
inline void changePools(int reloads) {
  ChangingPools changing;
  std::vector<std::unique_ptr<Client>> clients;
  for (const auto& name : {"default", "steady"})
    for (const bool keep_alive : {true, false})
      clients.push_back(std::make_unique<Client>(changing.addressOf(name), keep_alive));
  ChangingPools::Footprint before;
  for (int change = 1; change <= reloads; ++change) {
    changing.reload(change);
    for (const auto& name : ChangingPools::passing(change)) {
      Socket client = Socket::connect(changing.addressOf(name));
      CHECK(request(client) == 'c');
    }
    if (change == reloads / 2) before = changing.footprint();
  }
  for (const auto& client : clients) client->stop();
  for (const auto& client : clients) {
    CHECK(client->failures() == std::vector<std::string>());
    CHECK(client->answers() > static_cast<std::size_t>(reloads));
  }
  std::vector<std::string> expected = {"default", "steady"};
  for (const auto& name : ChangingPools::passing(reloads)) expected.push_back(name);
  std::sort(expected.begin(), expected.end());
  CHECK(changing.pools() == expected);
  // Pools that were removed are gone, with all that they had.
  CHECK(eventually([&] { return changing.footprint().descriptors <= before.descriptors; }, 20s));
  const auto after = changing.footprint();
  CHECK(after.threads == before.threads);
  CHECK(after.images <= before.images);
  WARN(reloads << " reloads: descriptors " << before.descriptors << " -> " << after.descriptors << ", images "
               << before.images << " -> " << after.images << ", resident KiB " << before.resident_kib << " -> "
               << after.resident_kib);
  if (reloads >= 200 && LEMONADE_SANITIZED == 0) CHECK(after.resident_kib < before.resident_kib + 8 * 1024);
}

}  // namespace lemonade::test
