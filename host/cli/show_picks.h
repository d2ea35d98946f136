// SPDX-License-Identifier: MIT
//
// What the balancer says of picks, for people: how shadows compare, and why backends were picked. Pure functions; any
// thread.
#pragma once

#include "cli/document.h"

#include <cstddef>
#include <string>

namespace lemonade::cli {

/// Of /api/v1/shadows: a line for each pool, and with backends a table of where each sent what.
std::string showShadows(const Document& document, bool with_backends, bool colours);

/// Of /api/v1/pools/POOL/why: the newest picks, each with a table of the backends as it saw them.
std::string showWhy(const Document& document, std::size_t count, bool colours);

}  // namespace lemonade::cli
