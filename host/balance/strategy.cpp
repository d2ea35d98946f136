// SPDX-License-Identifier: MIT
#include "balance/strategy.h"

namespace lemonade {

Result<std::shared_ptr<Strategy>> Strategy::make(Instance instance, std::uint32_t workers) {
  std::shared_ptr<Strategy> strategy(new Strategy(std::move(instance)));
  const auto& table = strategy->table();
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    void* lane = nullptr;
    auto error = plugin::emptyError();
    if (table.lane_create != nullptr && table.lane_create(strategy->self(), worker, &lane, &error) != LEMONADE_OK)
      return Error{"strategy " + strategy->info().id + " made no lane: " + plugin::describe(error)};
    strategy->lanes_.push_back(lane);
  }
  return strategy;
}

Strategy::~Strategy() {
  if (table().lane_destroy == nullptr || table().lane_create == nullptr) return;
  for (void* lane : lanes_) table().lane_destroy(self(), lane);
}

}  // namespace lemonade
