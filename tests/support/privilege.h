// SPDX-License-Identifier: MIT
//
// What only root may do: tests that need it are skipped, with a word, where it is missing.
#pragma once

#include <functional>
#include <string>

namespace lemonade::test {

bool isRoot();
/// Says why a test was not run. Use as `return skip("...")`.
void skip(const std::string& reason);
/// Runs body on a thread with a network of its own, which has nothing but loopback; so have the processes it starts.
/// What it throws is thrown again.
void inOwnNetwork(const std::function<void()>& body);

}  // namespace lemonade::test
