// SPDX-License-Identifier: MIT
//
// Tells backends what the kernel has timed of the exchanges of flows, as Meter tells them of those that a relay moves.
// What is answered between two looks counts one by one; what waits for longer counts as waiting from the next look on.
// Worker thread only.
#pragma once

#include "balance/backend.h"
#include "balance/feedback.h"
#include "kernel/exchange_times.h"
#include "proxy/flow_plan.h"
#include "proxy/flow_trials.h"

#include <cstdint>
#include <memory>
#include <unordered_map>

namespace lemonade::proxy {

class FlowExchanges {
 public:
  /// How often to look while something stirs.
  static constexpr std::uint64_t kLook = kernel::ExchangeTimes::kWakeNs;

  explicit FlowExchanges(std::uint32_t worker) : worker_(worker) {}
  ~FlowExchanges() { takeBack(); }
  FlowExchanges(const FlowExchanges&) = delete;
  FlowExchanges& operator=(const FlowExchanges&) = delete;

  /// True where something stirs, and it should be looked at again in kLook. Flows that take part in trials are told of,
  /// too.
  bool look(kernel::ExchangeTimes& times, const FlowPlan& plan, FlowTrials& trials, std::uint64_t now) noexcept;
  /// The answers alone: what ends by the same events came after them.
  void readAnswers(kernel::ExchangeTimes& times, const FlowPlan& plan, FlowTrials& trials) noexcept;
  /// Nobody waits any more, as far as backends were told. Before the times go.
  void takeBack() noexcept;

 private:
  /// What a backend was told of a slot.
  struct Told {
    std::shared_ptr<Backend> backend;  // whose slot it was then
    std::uint32_t asked = 0;
    feedback::Owed owed{};
    bool answered = false;  // in this look
  };

  void tellAnswer(const FlowPlan& plan, const kernel::ExchangeTimes::Exchange& exchange) noexcept;
  bool tellOwed(Told& told, const kernel::ExchangeTimes::Owed& owed, std::uint64_t now) const noexcept;
  static void takeBack(Told& told) noexcept;

  const std::uint32_t worker_;
  std::unordered_map<std::uint32_t, Told> told_;  // by slot
};

}  // namespace lemonade::proxy
