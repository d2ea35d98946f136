// SPDX-License-Identifier: MIT
#include "simulation/contender.h"

#include <limits>
#include <stdexcept>
#include <unordered_map>

namespace lemonade::sim {

namespace {

class Oracle final : public Contender {
 public:
  explicit Oracle(Inside& inside) : inside_(inside) {}

  std::uint32_t pick(const lemonade_connection_t& connection, const lemonade_view_t& view, std::uint64_t&) override {
    std::uint32_t best = LEMONADE_PICK_NONE;
    double least = std::numeric_limits<double>::infinity();
    for (std::uint32_t i = 0; i < view.eligible_count; ++i) {
      const std::uint32_t server = view.eligible[i];
      if (lemonade_may_pick(&connection, &view, server) == 0) continue;
      const double ends = inside_.workLeftNs(server) + inside_.takesNs(server);
      if (best != LEMONADE_PICK_NONE && !(ends < least)) continue;
      best = server;
      least = ends;
    }
    return best;
  }
  void event(const lemonade_strategy_event_t&, std::uint32_t) override {}

 private:
  Inside& inside_;
};

/// The instance behind the table: a contender, and which backend has which number.
struct Behind {
  std::unique_ptr<Contender> contender;
  std::unordered_map<std::uint64_t, std::uint32_t> servers;
};

lemonade_status_t prepareContender(void* self, const lemonade_view_t* view, void** prepared,
                                   lemonade_error_t*) noexcept {
  auto& behind = *static_cast<Behind*>(self);
  for (std::uint32_t i = 0; i < view->backend_count; ++i) behind.servers[lemonade_view_backend(view, i)->identity] = i;
  *prepared = nullptr;
  return LEMONADE_OK;
}

std::uint32_t pickContender(void* self, void*, const void*, const lemonade_connection_t* connection,
                            const lemonade_view_t* view, std::uint64_t* cookie) noexcept {
  return static_cast<Behind*>(self)->contender->pick(*connection, *view, *cookie);
}

void tellContender(void* self, void*, const lemonade_strategy_event_t* event) noexcept {
  auto& behind = *static_cast<Behind*>(self);
  if (event->foreign == 0) behind.contender->event(*event, behind.servers.at(event->backend_identity));
}

lemonade_strategy_t contenderTable() {
  lemonade_strategy_t table{};
  table.struct_size = sizeof(table);
  table.events = LEMONADE_EVENT_CONNECTED | LEMONADE_EVENT_CONNECT_FAILED | LEMONADE_EVENT_EXCHANGE |
                 LEMONADE_EVENT_CLOSED | LEMONADE_EVENT_ERROR;
  table.destroy = [](void* self) noexcept { delete static_cast<Behind*>(self); };
  table.prepare = prepareContender;
  table.release = [](void*, void*) noexcept {};
  table.pick = pickContender;
  table.event = tellContender;
  return table;
}

std::unique_ptr<Contender> contenderOf(const std::string& id, Inside& inside) {
  if (id == "nginx") return makeNginx(inside, true);
  if (id == "nginx_plain") return makeNginx(inside, false);
  if (id == "c3") return makeC3(inside);
  if (id == "prequal") return makePrequal(inside);
  if (id == "speeds") return makeSpeeds(inside, false);
  if (id == "speeds_sure") return makeSpeeds(inside, true);
  if (id == "oracle") return std::make_unique<Oracle>(inside);
  return nullptr;
}

}  // namespace

const std::vector<std::string>& contenderIds() {
  static const std::vector<std::string> ids = {"nginx",  "nginx_plain", "c3",    "prequal",
                                               "speeds", "speeds_sure", "oracle"};
  return ids;
}

std::shared_ptr<Strategy> makeContender(const std::string& id, Inside& inside) {
  static const lemonade_strategy_t table = contenderTable();
  static std::uint64_t made = 1u << 20;  // the host numbers its own from 1
  auto contender = contenderOf(id, inside);
  if (contender == nullptr) return nullptr;
  auto* const behind = new Behind{std::move(contender), {}};
  auto strategy = Strategy::make(
      {table, behind, plugin::InstanceInfo{.id = id, .version = "", .file = "", .number = ++made}, nullptr}, 1);
  if (!strategy) throw std::runtime_error(strategy.error().message);
  return strategy.value();
}

}  // namespace lemonade::sim
