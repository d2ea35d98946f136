// SPDX-License-Identifier: MIT
//
// Creates the plugins of a configuration that do not run already, after each was tried aside.
#pragma once

#include "app/preparation.h"
#include "base/clock.h"
#include "config/finding.h"

#include <optional>

namespace lemonade::app {

/// Puts the instances into the preparation, and what is wrong into the findings. Each file is read once, so that the
/// content that passed its preflight is the content that is loaded. limit bounds each preflight; nothing: there is
/// none. running: what runs now; null at a start. Not on the control thread, which must be running.
void createPlugins(PreparationContext& context, std::optional<Duration> limit, const Running* running,
                   Preparation& preparation, config::Findings& findings);

}  // namespace lemonade::app
