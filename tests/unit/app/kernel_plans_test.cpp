// SPDX-License-Identifier: MIT
//
// What the table and the worker are told of listeners and pools. There is no kernel here.
#include "app/kernel_plans.h"

#include "balance/feedback.h"
#include "unit/proxy/one_worker.h"

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

namespace lemonade::app {

namespace {

constexpr std::uint16_t kTag = 0x4c4d;
constexpr std::uint16_t kQueue = 7;

using Names = std::vector<std::string>;

/// Listeners that lead to one pool, and the plans that these come to.
struct OnePool : proxy::OneWorker {
  void listen(config::Forward forward, config::ForwardSource source = config::ForwardSource::kMasquerade) {
    config::Listener config;
    config.name = "web" + std::to_string(listeners.size());
    config.forward = forward;
    config.forward_source = source;
    config.idle_timeout = std::chrono::seconds(5);
    listeners.push_back(makeListener(config));
    listeners.back()->setSockets({proxy::ListeningSocket::open(*Address::parse("127.0.0.1:0"), 1, {}).value()});
  }
  std::shared_ptr<proxy::FlowPlan> flows() {
    return plans.flows(kTag, listeners, {std::shared_ptr<Pool>(std::shared_ptr<void>(), &pool)});
  }
  /// The flows, of which the table has heard.
  std::shared_ptr<proxy::FlowPlan> settled() {
    auto made = flows();
    plans.settle(*made);
    return made;
  }
  kernel::TablePlan table() { return KernelPlans::table(*flows(), listeners, kQueue); }
  /// "slot address" of each backend of the table.
  Names backendsOf(const kernel::TablePlan& plan) {
    Names texts;
    for (const auto& one : plan.backends) texts.push_back(std::to_string(one.slot) + " " + one.address.text());
    return texts;
  }

  KernelPlans::Listeners listeners;
  KernelPlans plans;
};

}  // namespace

TEST_CASE_METHOD(OnePool, "KernelPlans has the listeners that the kernel forwards for, and no others", "[app]") {
  listen(config::Forward::kRelay);
  listen(config::Forward::kKernel);
  listen(config::Forward::kKernel, config::ForwardSource::kKeep);
  backends({kA, kB});
  const auto made = flows();
  CHECK(made->tag == kTag);
  REQUIRE(made->entrances.size() == 2);
  CHECK(made->entrances[0].listener == listeners[1]);
  CHECK(made->entrances[0].address == listeners[1]->sockets()[0]->address());
  CHECK_FALSE(made->entrances[0].keeps_source);
  CHECK(made->entrances[1].keeps_source);
  const auto plan = table();
  CHECK(checkPlan(plan).ok());
  CHECK(plan.queue == kQueue);
  REQUIRE(plan.listeners.size() == 2);
  CHECK(plan.listeners[0].addresses == std::vector{listeners[1]->sockets()[0]->address()});
  CHECK(plan.listeners[0].idle_timeout == std::chrono::seconds(5));
  CHECK_FALSE(plan.listeners[0].keep_source);
  CHECK(plan.listeners[1].keep_source);
}

TEST_CASE_METHOD(OnePool, "KernelPlans names backends by the same slots to the worker and to the table", "[app]") {
  listen(config::Forward::kKernel);
  backends({kA, kB});
  const auto made = flows();
  CHECK(backendsOf(table()) == Names{std::string("1 ") + kA, std::string("2 ") + kB});
  CHECK(made->slotOf(*pool.backends()->at(1)) == 2);
  CHECK(made->places.at(2).backend == pool.backends()->at(1));
  CHECK(table().listeners[0].eligible == std::vector<kernel::TablePlan::Choice>{{1, 1000}, {2, 1000}});
  CHECK(table().backends[0].name == std::string("default/") + kA);
}

TEST_CASE_METHOD(OnePool, "KernelPlans has no backends of a pool that only relays serve", "[app]") {
  listen(config::Forward::kRelay);
  backends({kA});
  CHECK(table().backends.empty());
  CHECK_FALSE(plans.leaving());
}

TEST_CASE_METHOD(OnePool, "KernelPlans keeps a backend that leaves while it has flows, and asks nobody to go there",
                 "[app]") {
  listen(config::Forward::kKernel);
  backends({kA, kB});
  (void)settled();
  const auto going = backend;
  feedback::occupy(*going);
  backends({kB});
  CHECK(backendsOf(table()) == Names{std::string("1 ") + kA, std::string("2 ") + kB});
  CHECK(plans.leaving());
  CHECK(table().listeners[0].eligible == std::vector<kernel::TablePlan::Choice>{{2, 1000}});
  pool.release(*going);
  CHECK(backendsOf(table()) == Names{std::string("2 ") + kB});
  (void)settled();
  CHECK_FALSE(plans.leaving());
}

TEST_CASE_METHOD(OnePool, "KernelPlans gives a slot that is free again as late as can be", "[app]") {
  listen(config::Forward::kKernel);
  backends({kA});
  (void)settled();
  backends({kB});
  (void)settled();
  backends({kA});
  CHECK(backendsOf(table()) == Names{std::string("3 ") + kA});
}

TEST_CASE_METHOD(OnePool, "KernelPlans keeps the slots of a table that was left", "[app]") {
  listen(config::Forward::kKernel);
  backends({kA, kB});
  const auto b = pool.backends()->at(1);
  plans.inherit({{1, b->address(), "web/b", b->identity()},
                 {1, b->address(), "web/another's number", 77},
                 {kernel::kLastSlot + 1, b->address(), "web/no number", 78}});
  CHECK(backendsOf(table()) == Names{std::string("1 ") + kB, std::string("2 ") + kA});
}

TEST_CASE_METHOD(OnePool, "KernelPlans gives no new backend the slot of one that a table before had", "[app]") {
  listen(config::Forward::kKernel);
  backends({kA});
  plans.inherit({{1, backend->address(), "web/a", backend->identity()}, {2, *Address::parse(kB), "web/gone", 77}});
  (void)settled();
  backends({kA, kB});
  CHECK(backendsOf(table()) == Names{std::string("1 ") + kA, std::string("3 ") + kB});
}

TEST_CASE_METHOD(OnePool, "KernelPlans gives no backend a slot that a connection of before still names", "[app]") {
  listen(config::Forward::kKernel);
  plans.inherit({{kernel::kLastSlot, *Address::parse(kB), "web/gone", 77}});
  for (const std::uint32_t slot : {0U, 1U, kernel::kLastSlot, kernel::kLastSlot + 1}) plans.avoid(slot);
  backends({});
  (void)settled();
  backends({kA});
  CHECK(backendsOf(table()) == Names{std::string("2 ") + kA});
}

TEST_CASE_METHOD(OnePool, "KernelPlans gives each backend a slot as long as there are some", "[app]") {
  listen(config::Forward::kKernel);
  Names addresses;
  for (std::uint32_t i = 0; i <= kernel::kLastSlot; ++i)
    addresses.push_back("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ":80");
  backends(addresses);
  const auto made = settled();
  CHECK(made->places.size() == kernel::kLastSlot);
  CHECK(made->slotOf(*pool.backends()->back()) == 0);
  // One that leaves makes room for it.
  addresses.erase(addresses.begin());
  backends(addresses);
  (void)settled();
  CHECK(flows()->slotOf(*pool.backends()->back()) == 1);
}

}  // namespace lemonade::app
