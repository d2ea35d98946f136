// SPDX-License-Identifier: MIT
//
// The host's own choice of a backend, where a strategy cannot be asked any more: by weight, at random. As a function,
// and as a strategy for a pool that has no other left.
#pragma once

#include "balance/strategy.h"

#include <lemonade/strategy.h>

#include <cstdint>

namespace lemonade {

/// One of the backends of the view that the connection may be given, by effective weight (alike where all of them have
/// none); LEMONADE_PICK_NONE where there is none. Any thread, allocates nothing.
std::uint32_t chooseByWeight(const lemonade_view_t& view, const lemonade_connection_t& connection) noexcept;

/// True where there is one for the connection. Any thread.
bool hasCandidate(const lemonade_view_t& view, const lemonade_connection_t& connection) noexcept;

/// The id that a strategy of the host's own has in status and log.
inline constexpr const char* kOwnChoiceId = "host";

/// That as a strategy.
Strategy::Instance makeOwnChoice();

}  // namespace lemonade
