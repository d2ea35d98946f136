// SPDX-License-Identifier: MIT
//
// Instances in every order that the ABI allows and the other checks do not come by, and beside another generation.
#include "validate/probe_run.h"
#include "validate/sink_run.h"
#include "validate/strategy_run.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <array>

namespace lemonade::validate {

namespace {

using Strategy = Live<lemonade_strategy_t>;

/// What it made of a scene; released by hand, in whatever order.
void* prepared(const Strategy& strategy, const lemonade_plugin_t& entry, Scene& scene) {
  scene.giveOptions(strategy.table());
  if (strategy.table().prepare == nullptr) return nullptr;
  Guarded<lemonade_error_t> error(0);
  void* made = nullptr;
  stage("preparing one view while another is in use");
  const auto status = strategy.table().prepare(strategy.self(), &scene.view(), &made, error.get());
  if (status == LEMONADE_OK) return made;
  requireError(entry, status, *error.get());
  return nullptr;
}

void release(const Strategy& strategy, void* made) {
  stage("releasing one of several views");
  if (made != nullptr) strategy.table().release(strategy.self(), made);
}

void* lane(const Strategy& strategy, const lemonade_plugin_t& entry, std::uint32_t worker) {
  if (strategy.table().lane_create == nullptr) return nullptr;
  Guarded<lemonade_error_t> error(0);
  void* made = nullptr;
  stage("making a lane");
  const auto status = strategy.table().lane_create(strategy.self(), worker, &made, error.get());
  if (status != LEMONADE_OK) requireError(entry, status, *error.get());
  require(status == LEMONADE_OK, "it makes no lane: " + describe(*error.get()));
  return made;
}

void endLane(const Strategy& strategy, void* made) {
  stage("ending a lane");
  if (strategy.table().lane_create != nullptr) strategy.table().lane_destroy(strategy.self(), made);
}

void pickFrom(const Strategy& strategy, void* lane, std::uint32_t worker, const void* made, Scene& scene) {
  Guarded<lemonade_connection_t> connection(0);
  connection->client_family = LEMONADE_FAMILY_IPV4;
  connection->worker = worker;
  connection->now_ns = nowNs();
  stage("picking from one of several views");
  for (std::uint32_t i = 0; i < 20; ++i) {
    std::uint64_t cookie = 0;
    connection->random = scrambled(worker, i);
    const auto index = strategy.table().pick(strategy.self(), lane, made, connection.get(), &scene.view(), &cookie);
    require(index >= LEMONADE_PICK_REJECT || scene.eligible(index),
            "it answers " + std::to_string(index) + " while there are two views");
  }
}

/// Two views at once, as while one replaces another, or of two tiers; prepared before there is a lane, released in
/// either order; a second worker while the first picks; lanes that end in either order.
void everyOrder(const Code& code, const Strategy& strategy, bool forward) {
  const auto& entry = code.entry();
  Scene before(equals(3));
  Scene after(equals(5), 0, 3);
  std::array<void*, 2> made{prepared(strategy, entry, before), prepared(strategy, entry, after)};
  std::array<void*, 2> lanes{lane(strategy, entry, 0), nullptr};
  pickFrom(strategy, lanes[0], 0, made[0], before);
  pickFrom(strategy, lanes[0], 0, made[1], after);
  lanes[1] = lane(strategy, entry, 1);
  pickFrom(strategy, lanes[1], 1, made[0], before);
  release(strategy, made[forward ? 0 : 1]);
  forward ? pickFrom(strategy, lanes[1], 1, made[1], after) : pickFrom(strategy, lanes[1], 1, made[0], before);
  release(strategy, made[forward ? 1 : 0]);
  if (!forward) std::reverse(lanes.begin(), lanes.end());
  for (void* one : lanes) endLane(strategy, one);
}

void live(const Subject& subject, const Code& code, std::type_identity<lemonade_strategy_t>) {
  {
    const Strategy unused(subject, code);
    endLane(unused, lane(unused, code.entry(), 0));
  }
  for (const bool forward : {true, false}) everyOrder(code, Strategy(subject, code), forward);
}

void live(const Subject& subject, const Code& code, std::type_identity<lemonade_health_checker_t>) {
  const Live<lemonade_health_checker_t> checker(subject, code);
  auto first = std::make_unique<ProbeRun>(checker);
  auto second = std::make_unique<ProbeRun>(checker);
  second->connected();
  first.reset();
  second->data("+PONG\r\n");
  first = std::make_unique<ProbeRun>(checker);
  second.reset();
  first->error(ECONNREFUSED);
}

void live(const Subject& subject, const Code& code, std::type_identity<lemonade_metrics_sink_t>) {
  const Live<lemonade_metrics_sink_t> sink(subject, code);
  const auto& table = sink.table();
  Snapshot snapshot(2, {"web-1"}, {});
  Guarded<lemonade_error_t> error(0);
  const auto hear = [&](std::uint32_t state) {
    if (table.health_event == nullptr) return;
    Guarded<lemonade_health_event_t> event(0);
    event->state = state;
    event->id = event->name = str("web-1");
    event->address = str("192.0.2.1:80");
    stage("hearing of a backend's health before or after a snapshot");
    table.health_event(sink.self(), event.get());
  };
  hear(LEMONADE_HEALTH_DOWN);
  for (int i = 0; i < 2; ++i) {
    Reader reader;
    const auto writer = reader.writer();
    stage("rendering before or after flushing");
    if (table.render != nullptr) (void)table.render(sink.self(), snapshot.get(), str(""), &writer, error.get());
    stage("flushing before or after rendering");
    if (table.flush != nullptr) (void)table.flush(sink.self(), snapshot.get(), nowNs() + 1'000'000'000, error.get());
    hear(LEMONADE_HEALTH_UP);
  }
}

Outcome orders(const Subject& subject) {
  const Code code(subject);
  forEachKind(code.kinds(), [&](auto kind) { live(subject, code, kind); });
  return pass();
}

/// What an image may write to, as it is now.
std::vector<unsigned char> statics(const Code& code) {
  struct Image {
    ElfW(Addr) base = 0;
    std::vector<unsigned char> bytes;
  } image;
  Dl_info info;
  require(::dladdr(&code.entry(), &info) != 0, "its image cannot be found");
  image.base = reinterpret_cast<ElfW(Addr)>(info.dli_fbase);
  ::dl_iterate_phdr(
      [](dl_phdr_info* one, std::size_t, void* to) {
        auto& wanted = *static_cast<Image*>(to);
        if (one->dlpi_addr != wanted.base) return 0;
        for (int i = 0; i < one->dlpi_phnum; ++i) {
          const auto& header = one->dlpi_phdr[i];
          if (header.p_type != PT_LOAD || (header.p_flags & PF_W) == 0) continue;
          const auto* bytes = reinterpret_cast<const unsigned char*>(one->dlpi_addr + header.p_vaddr);
          wanted.bytes.insert(wanted.bytes.end(), bytes, bytes + header.p_memsz);
        }
        return 1;
      },
      &image);
  return image.bytes;
}

/// One generation lives, then another: the statics of the first are to stay as they are.
Outcome apart(const Subject& subject) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return skip("a sanitizer keeps marks of its own among them");
#endif
  const auto liveOnce = [&](const Code& code) {
    forEachKind(code.kinds(), [&]<class Table>(std::type_identity<Table>) { const Live<Table> once(subject, code); });
  };
  const Code first(subject, 1);
  liveOnce(first);
  const auto before = statics(first);
  const Code second(subject, 2);
  liveOnce(second);
  require(statics(first) == before, "another generation writes to the statics of this one");
  return pass();
}

constexpr Check kChecks[] = {
    {"lifecycle.orders", "bears its functions in every order that the ABI allows",
     "several views are prepared at once, and released in any order; keep what belongs to a view in what prepare makes",
     orders, "lifecycle.several strategy.churn health.together sink.empty"},
    {"lifecycle.statics", "shares no statics with another generation",
     "hold state in the instance, not in the environment or in other libraries", apart,
     "process.create load.generations"},
};

}  // namespace

std::span<const Check> orderChecks() { return kChecks; }

}  // namespace lemonade::validate
