// SPDX-License-Identifier: MIT
//
// Where the Unix socket of an admin listener is that nobody has given a path. Stateless; any thread.
#pragma once

#include <string>

namespace lemonade::admin {

/// "admin.sock" in the first folder of $RUNTIME_DIRECTORY, which systemd sets for a service, else in /run/lemonade.
/// Whether that is there is another question.
std::string usualSocketPath();

}  // namespace lemonade::admin
