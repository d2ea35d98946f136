// SPDX-License-Identifier: MIT
//
// What an operator must know: plugins that are quarantined, calls that hang, processes that died, and what is wrong
// where the kernel forwards. Pure functions; any thread.
#pragma once

#include "cli/document.h"

#include <string>

namespace lemonade::cli {

/// A line for each of them, of a status; "" where there is none: "degraded: plugin com.example.x 2.0.0 is quarantined:
/// SIGSEGV at 0x8 in pick".
std::string troubleText(const Document& status, bool colours);

/// Of each plugin of "quarantined" why it is, since when, and what to do; "" where there is none.
std::string quarantineText(const Document& document, bool colours);

}  // namespace lemonade::cli
