// SPDX-License-Identifier: MIT
//
// What plugin-validate does besides judging. Each returns the exit code; an error is said on standard error.
#pragma once

#include "validate/runner.h"

#include <string>

namespace lemonade::validate {

/// What the plugin says of itself, with the JSON schema of its options.
int describePlugin(const std::string& path);

/// Nanoseconds of a pick at 2, 10, 100, 1000 and 10000 backends.
int benchPlugin(const std::string& path, const Wish& wish);

/// Copies the file into a folder so that whoever scans it sees all of it or nothing: under another name first, written
/// out, renamed.
int installPlugin(const std::string& path, const std::string& folder);

}  // namespace lemonade::validate
