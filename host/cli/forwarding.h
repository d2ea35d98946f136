// SPDX-License-Identifier: MIT
//
// What a status says of forwarding by the kernel, for people. Pure functions; any thread.
#pragma once

#include "cli/document.h"

#include <string>
#include <vector>

namespace lemonade::cli {

/// A line with its end, "" where the kernel does not forward: "the kernel forwards by the table inet lemonade, queue
/// 19533, mark 0x4c4d: up to date, asks; 3 connections came unasked, 0 packets wait, conntrack has 12 of 65536".
std::string forwardingText(const Document& status, bool colours);

/// What is wrong with that, a line each, without its end.
std::vector<std::string> forwardingTroubles(const Document& status);

}  // namespace lemonade::cli
