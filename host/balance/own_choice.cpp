// SPDX-License-Identifier: MIT
#include "balance/own_choice.h"

namespace lemonade {

namespace {

/// Calls visit(index, weight) for each backend that the connection may be given, until it returns true.
template <class Visit>
void forEachCandidate(const lemonade_view_t& view, const lemonade_connection_t& connection, Visit visit) noexcept {
  for (std::uint32_t i = 0; i < view.eligible_count; ++i) {
    const std::uint32_t index = view.eligible[i];
    if (lemonade_may_pick(&connection, &view, index) != 0 && visit(index, view.backends[index].effective_weight))
      return;
  }
}

lemonade_status_t createOwn(const lemonade_host_t*, const lemonade_options_t*, void** self,
                            lemonade_error_t*) noexcept {
  *self = nullptr;
  return LEMONADE_OK;
}

void destroyOwn(void*) noexcept {}

std::uint32_t pickOwn(void*, void*, const void*, const lemonade_connection_t* connection, const lemonade_view_t* view,
                      std::uint64_t*) noexcept {
  return chooseByWeight(*view, *connection);
}

}  // namespace

std::uint32_t chooseByWeight(const lemonade_view_t& view, const lemonade_connection_t& connection) noexcept {
  std::uint64_t total = 0, count = 0;
  forEachCandidate(view, connection, [&](std::uint32_t, std::uint32_t weight) {
    total += weight;
    ++count;
    return false;
  });
  if (count == 0) return LEMONADE_PICK_NONE;
  std::uint64_t left = connection.random % (total != 0 ? total : count);
  std::uint32_t chosen = LEMONADE_PICK_NONE;
  forEachCandidate(view, connection, [&](std::uint32_t index, std::uint32_t weight) {
    const std::uint64_t share = total != 0 ? weight : 1;
    // A backend may have filled up since they were counted: then it is the last one that has room.
    if (share != 0) chosen = index;
    if (left < share) return true;
    left -= share;
    return false;
  });
  return chosen;
}

bool hasCandidate(const lemonade_view_t& view, const lemonade_connection_t& connection) noexcept {
  bool has = false;
  forEachCandidate(view, connection, [&](std::uint32_t, std::uint32_t) { return has = true; });
  return has;
}

Strategy::Instance makeOwnChoice() {
  static const lemonade_strategy_t table = [] {
    lemonade_strategy_t own{};
    own.struct_size = sizeof(own);
    own.create = createOwn;
    own.destroy = destroyOwn;
    own.pick = pickOwn;
    return own;
  }();
  return Strategy::Instance(table, nullptr, plugin::InstanceInfo{.id = kOwnChoiceId, .version = {}, .file = {}}, {});
}

}  // namespace lemonade
