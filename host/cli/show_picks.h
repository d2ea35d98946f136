// SPDX-License-Identifier: MIT
//
// What the balancer says of picks, for people: how shadows compare. Pure functions; any thread.
#pragma once

#include "cli/document.h"

#include <string>

namespace lemonade::cli {

/// Of /api/v1/shadows: a line for each pool, and with backends a table of where each sent what.
std::string showShadows(const Document& document, bool with_backends, bool colours);

}  // namespace lemonade::cli
