// SPDX-License-Identifier: MIT
//
// What a session record says of a session. Worker thread only.
#pragma once

#include "balance/session_records.h"
#include "proxy/session.h"

#include <cstdint>

namespace lemonade::proxy {

/// The record of a session that ends now, for session.reason; it borrows from the session, its listener, its pool and
/// its backend.
SessionRecord recordOf(const Session& session, std::uint64_t now) noexcept;

}  // namespace lemonade::proxy
