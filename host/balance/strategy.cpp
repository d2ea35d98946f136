// SPDX-License-Identifier: MIT
#include "balance/strategy.h"

#include "base/log.h"

#include <utility>
#include <vector>

namespace lemonade {

namespace {

constexpr std::uint64_t kLargestState = 16 << 20;

lemonade_status_t appendState(void* context, const void* data, std::uint64_t size) noexcept try {
  const plugin::HostService service;
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

Strategy::Strategy(Instance instance)
    : instance_(std::move(instance)),
      needs_(needsOf(instance_.table())),
      why_(LEMONADE_HAS(&instance_.table(), lemonade_strategy_t, why) ? instance_.table().why : nullptr) {}

Result<std::shared_ptr<Strategy>> Strategy::make(Instance instance, std::uint32_t workers) {
  std::shared_ptr<Strategy> strategy(new Strategy(std::move(instance)));
  if (auto added = strategy->addLanes(workers); !added) return std::move(added).error();
  return strategy;
}

Status Strategy::makeLane(std::uint32_t worker, void*& lane) {
  if (table().lane_create == nullptr) return success();
  auto error = plugin::emptyError();
  lemonade_status_t status = LEMONADE_ERROR_INVALID;
  const bool came_back =
      guard().call(plugin::Function::kMakeLane, [&] { status = table().lane_create(self(), worker, &lane, &error); });
  if (came_back && status == LEMONADE_OK) return success();
  return Error{"strategy " + info().id + " made no lane: " + (came_back ? plugin::describe(error) : brokenOff())};
}

void Strategy::endLane(void* lane) noexcept {
  if (table().lane_destroy == nullptr || table().lane_create == nullptr) return;
  (void)guard().call(plugin::Function::kEndLane, [&] { table().lane_destroy(self(), lane); });
}

std::string Strategy::brokenOff() const { return std::string("a call was broken off, ") + nameOf(guard().why()); }

Status Strategy::addLanes(std::uint32_t workers) {
  const std::uint32_t before = lanes_.size();
  std::vector<void*> made;
  for (std::uint32_t worker = before; worker < workers; ++worker) {
    void* lane = nullptr;
    // One that is broken is never asked again, and so needs none.
    auto status = guard().broken() && before != 0 ? success() : makeLane(worker, lane);
    if (!status) {
      for (void* one : made) endLane(one);
      return status;
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
  lemonade_status_t status = LEMONADE_ERROR_INVALID;
  lemonade_str_t format{};
  const bool came_back = guard().call(plugin::Function::kExportState, [&] {
    status = table().export_state(self(), &writer, &error);
    if (status == LEMONADE_OK) format = table().state_format(self());
  });
  if (!came_back) return std::nullopt;
  if (status != LEMONADE_OK) {
    log::warning("balance", "the strategy's state could not be exported, the new one starts without",
                 {{"strategy", info().id}, {"reason", plugin::describe(error)}});
    return std::nullopt;
  }
  state.format.assign(format.data, format.size);
  return state;
}

Status Strategy::importState(const State& state) {
  if (table().import_state == nullptr) return success();
  auto error = plugin::emptyError();
  lemonade_status_t status = LEMONADE_ERROR_INVALID;
  const bool came_back = guard().call(plugin::Function::kImportState, [&] {
    status = table().import_state(self(), {state.format.data(), state.format.size()},
                                  {state.bytes.data(), state.bytes.size()}, &error);
  });
  if (!came_back) return Error{"strategy " + info().id + " took no state over: " + brokenOff()};
  if (status == LEMONADE_OK || status == LEMONADE_ERROR_UNSUPPORTED) return success();
  return Error{"strategy " + info().id + " refused the state of the one before: " + plugin::describe(error)};
}

Status Strategy::takeOver(const Strategy& previous) {
  if (table().import_state == nullptr) return success();
  const auto state = previous.exportState();
  return state ? importState(*state) : success();
}

Strategy::~Strategy() {
  for (std::uint32_t worker = 0; worker < lanes_.size(); ++worker) endLane(lanes_[worker].lane);
}

}  // namespace lemonade
