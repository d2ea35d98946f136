// SPDX-License-Identifier: MIT
//
// The commands that ask a running balancer once, or tell it something. Each returns its exit code. One thread.
#pragma once

#include "cli/options.h"

#include <optional>
#include <string>

namespace lemonade::cli {

int runStatus(const Options& options);
/// Of one pool, where one is named.
int runBackends(const Options& options, const std::optional<std::string>& pool);
int runPlugins(const Options& options);
/// Has the picks of a pool be written down for so long, such as "5s", and shows the newest `count`, and why.
int runWhy(const Options& options, const std::string& pool, const std::string& lasting, unsigned count);
/// What shadows would have done; with the backends of one pool, where one is named.
int runShadow(const Options& options, const std::optional<std::string>& pool);
int runControl(const Options& options, const Control& control);
int runReload(const Options& options);
/// Lets a plugin of this id go that is quarantined.
int runRelease(const Options& options, const std::string& plugin);
int runReopen(const Options& options);
/// The newest `count` events, and where it follows those that are still to come, until it is interrupted.
int runEvents(const Options& options, unsigned count, bool follow);

}  // namespace lemonade::cli
