// SPDX-License-Identifier: MIT
//
// What a rehearsal asks of an instance between its creation and its end: one function for each kind of plugin. Each
// runs on one thread, which stands for a worker, for the prober and for the thread of a sink, and goes to the control
// thread where the ABI promises that one.
#pragma once

#include "base/control_loop.h"
#include "base/result.h"
#include "plugin/loader.h"
#include "plugin/process_state.h"
#include "rehearsal/rehearsal.h"

#include <functional>

namespace lemonade {

/// What trying a plugin works with; all of it outlives the call.
struct RehearsalContext {
  const Rehearsal& rehearsal;
  ControlLoop& loop;  ///< runs
  const OnStage& on_stage;
  /// Whether the process is as it was, as seen from the calling thread; has said so where it is not.
  std::function<bool(plugin::Moment)> is_unchanged;
};

/// Runs a step on the thread of a loop and passes on what it returns or throws.
Status onLoop(ControlLoop& loop, const std::function<Status()>& step);

// Each tries an instance; an error says what the plugin did wrong, as words that follow its name. The instance may be
// moved from; where it is, it has been destroyed on the control thread. May throw what the plugin throws.
Status tryPlugin(plugin::StrategyInstance& strategy, const RehearsalContext& context);
Status tryPlugin(plugin::CheckerInstance& checker, const RehearsalContext& context);
Status tryPlugin(plugin::SinkInstance& sink, const RehearsalContext& context);

}  // namespace lemonade
