// SPDX-License-Identifier: MIT
#include "balance/strategy.h"

#include "base/log.h"

#include <utility>
#include <vector>

namespace lemonade {

namespace {

constexpr std::uint64_t kLargestState = 16 << 20;

lemonade_status_t appendState(void* context, const void* data, std::uint64_t size) noexcept try {
  auto& state = *static_cast<std::string*>(context);
  if (size > kLargestState - state.size()) return LEMONADE_ERROR_LIMIT;
  state.append(static_cast<const char*>(data), size);
  return LEMONADE_OK;
} catch (...) {
  return LEMONADE_ERROR_NO_MEMORY;
}

std::uint32_t needsOf(const lemonade_strategy_t& table) noexcept {
  return LEMONADE_HAS(&table, lemonade_strategy_t, needs) ? table.needs : 0;
}

}  // namespace

Strategy::Strategy(Instance instance) : instance_(std::move(instance)), needs_(needsOf(instance_.table())) {}

Result<std::shared_ptr<Strategy>> Strategy::make(Instance instance, std::uint32_t workers) {
  std::shared_ptr<Strategy> strategy(new Strategy(std::move(instance)));
  if (auto added = strategy->addLanes(workers); !added) return std::move(added).error();
  return strategy;
}

Status Strategy::addLanes(std::uint32_t workers) {
  const std::uint32_t before = lanes_.size();
  std::vector<void*> made;
  for (std::uint32_t worker = before; worker < workers; ++worker) {
    void* lane = nullptr;
    auto error = plugin::emptyError();
    if (table().lane_create != nullptr && table().lane_create(self(), worker, &lane, &error) != LEMONADE_OK) {
      for (void* one : made) table().lane_destroy(self(), one);
      return Error{"strategy " + info().id + " made no lane: " + plugin::describe(error)};
    }
    made.push_back(lane);
  }
  lanes_.grow(workers);
  for (std::uint32_t i = 0; i < made.size(); ++i) lanes_[before + i].lane = made[i];
  return success();
}

std::optional<Strategy::State> Strategy::exportState() const {
  if (table().state_format == nullptr || table().export_state == nullptr) return std::nullopt;
  auto error = plugin::emptyError();
  State state;
  const lemonade_writer_t writer{sizeof(lemonade_writer_t), 0, &state.bytes, appendState};
  if (table().export_state(self(), &writer, &error) != LEMONADE_OK) {
    log::warning("balance", "the strategy's state could not be exported, the new one starts without",
                 {{"strategy", info().id}, {"reason", plugin::describe(error)}});
    return std::nullopt;
  }
  const lemonade_str_t format = table().state_format(self());
  state.format.assign(format.data, format.size);
  return state;
}

Status Strategy::importState(const State& state) {
  if (table().import_state == nullptr) return success();
  auto error = plugin::emptyError();
  const auto status = table().import_state(self(), {state.format.data(), state.format.size()},
                                           {state.bytes.data(), state.bytes.size()}, &error);
  if (status == LEMONADE_OK || status == LEMONADE_ERROR_UNSUPPORTED) return success();
  return Error{"strategy " + info().id + " refused the state of the one before: " + plugin::describe(error)};
}

Status Strategy::takeOver(const Strategy& previous) {
  if (table().import_state == nullptr) return success();
  const auto state = previous.exportState();
  return state ? importState(*state) : success();
}

Strategy::~Strategy() {
  if (table().lane_destroy == nullptr || table().lane_create == nullptr) return;
  for (std::uint32_t worker = 0; worker < lanes_.size(); ++worker) table().lane_destroy(self(), lanes_[worker].lane);
}

}  // namespace lemonade
