// SPDX-License-Identifier: MIT
//
// What plugin-validate does besides judging. Each returns the exit code: 0, 1 where the file is no sound plugin, 2 for
// misuse or a file that is not there; an error is said on standard error. Code of the plugin runs in a child process,
// for wish.limit at most.
#pragma once

#include "validate/runner.h"

#include <string>

namespace lemonade::validate {

/// What the plugin says of itself, with the JSON schema of its options.
int describePlugin(const std::string& path, const Wish& wish);

/// Nanoseconds of a pick at 2, 10, 100, 1000 and 10000 backends, each in a process of its own.
int benchPlugin(const std::string& path, const Wish& wish);

/// Copies the file into a folder so that whoever scans it sees all of it or nothing: under another name first, written
/// out, renamed. Runs no code of it; a file that the balancer would refuse is not copied.
int installPlugin(const std::string& path, const std::string& folder);

}  // namespace lemonade::validate
