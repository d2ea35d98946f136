// SPDX-License-Identifier: MIT
//
// What no single key can tell: whether the whole makes sense. Control plane; any thread.
#pragma once

#include "config/draft.h"
#include "config/finding.h"

namespace lemonade::config {

/// Completes what follows from other keys (names from ids, options of sinks) and reports contradictions.
void completeAndCheck(Draft& draft, Findings& findings);

}  // namespace lemonade::config
