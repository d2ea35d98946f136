// SPDX-License-Identifier: MIT
//
// The balancer's answers for people. Pure functions; any thread.
#pragma once

#include "cli/document.h"
#include "cli/style.h"

#include <string>
#include <vector>

namespace lemonade::cli {

/// Of a state, such as "up" or "draining".
Colour colourOf(const std::string& state);

/// "pool/id" of a backend, as the commands take it.
std::string backendNameOf(const Document& backend);

/// The state of a backend, and whether it is slow or fails.
Table::Cell stateCell(const Document& backend);

/// The whole status: the process, its listeners, pools and the last reload.
std::string showStatus(const Document& status, bool colours);
/// A table of backends, of the status or of /api/v1/backends.
std::string showBackends(const std::vector<Document>& backends, bool colours);
/// Of the status or of /api/v1/plugins: those that run, and what is quarantined.
std::string showPlugins(const Document& document, bool colours);
/// One event, in a line.
std::string showEvent(const Document& event, bool colours);
/// What an order came to.
std::string showChange(const Document& change);

/// It runs, and every pool has a backend that may be picked.
bool isWell(const Document& status);

}  // namespace lemonade::cli
