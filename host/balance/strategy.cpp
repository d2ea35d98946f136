// SPDX-License-Identifier: MIT
#include "balance/strategy.h"

#include "base/log.h"

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

}  // namespace

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

Status Strategy::takeOver(const Strategy& previous) {
  const auto& from = previous.table();
  if (from.state_format == nullptr || from.export_state == nullptr || table().import_state == nullptr) return success();
  auto error = plugin::emptyError();
  std::string state;
  const lemonade_writer_t writer{sizeof(lemonade_writer_t), 0, &state, appendState};
  if (from.export_state(previous.self(), &writer, &error) != LEMONADE_OK) {
    log::warning("balance", "the strategy's state could not be exported, the new one starts without",
                 {{"strategy", previous.info().id}, {"reason", plugin::describe(error)}});
    return success();
  }
  const lemonade_str_t format = from.state_format(previous.self());
  const auto status = table().import_state(self(), format, {state.data(), state.size()}, &error);
  if (status == LEMONADE_OK || status == LEMONADE_ERROR_UNSUPPORTED) return success();
  return Error{"strategy " + info().id + " refused the state of the one before: " + plugin::describe(error)};
}

Strategy::~Strategy() {
  if (table().lane_destroy == nullptr || table().lane_create == nullptr) return;
  for (void* lane : lanes_) table().lane_destroy(self(), lane);
}

}  // namespace lemonade
