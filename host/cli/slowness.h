// SPDX-License-Identifier: MIT
//
// Which backends are slow beside the others of their pool, as the page and the commands say it. Pure.
#pragma once

#include "cli/document.h"

#include <map>
#include <string>
#include <vector>

namespace lemonade::cli {

/// "pool/id" of a backend, as the commands take it.
std::string backendNameOf(const Document& backend);

/// How many times the others of its pool a backend takes for an answer, by name: of those that take more than three
/// times the median of what half of the answers of the others took, and a millisecond more. Backends that have answered
/// fewer than twenty times of late say nothing.
std::map<std::string, double> slowBackends(const std::vector<Document>& backends);

}  // namespace lemonade::cli
