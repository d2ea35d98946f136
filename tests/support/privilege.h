// SPDX-License-Identifier: MIT
//
// What only root may do: tests that need it are skipped where it is missing.
#pragma once

#include "support/skip.h"

#include <functional>

namespace lemonade::test {

bool isRoot();
/// Runs body on a thread with a network of its own, which has nothing but loopback; so have the processes it starts.
/// What it throws is thrown again.
void inOwnNetwork(const std::function<void()>& body);

}  // namespace lemonade::test
