// SPDX-License-Identifier: MIT
//
// What every command does that asks a balancer: finds it, sends the token, and says what went wrong. One thread.
#pragma once

#include "cli/client.h"
#include "cli/document.h"
#include "cli/options.h"

#include <functional>
#include <string>

namespace lemonade::cli {

constexpr const char* kStatus = "/api/v1/status";

/// Runs a task with the balancer that the options lead to; the exit code is the task's, or says that there is none.
int withBalancer(const Options& options, const std::function<int(Client&)>& task);

/// Says on standard error what is wrong; returns the exit code it is given.
int fail(int code, const std::string& why);
/// The same of an answer that is no success.
int refused(const Reply& reply);

/// Asks, and hands a good answer on; else the exit code says what came of it.
int asked(Client& client, const std::string& method, const std::string& path,
          const std::function<int(const Reply&)>& good);
/// Asks for an object; with --json it is printed as it came, before the exit code is asked for.
int askedFor(Client& client, const Options& options, const std::string& path,
             const std::function<int(const Document&)>& shown);

}  // namespace lemonade::cli
