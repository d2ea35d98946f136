// SPDX-License-Identifier: MIT
//
// Every key of the configuration, each said once; see Key. The vectors are made at first use and live as long as the
// process; any thread.
#pragma once

#include "config/key.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::config {

/// The keys of a listener: those of [[listeners]] but for its name.
const std::vector<Key<Listener>>& listenerKeys();
/// The keys of a pool: its own, and those of its sections "strategy", "shadow", "health" and "ejection".
const std::vector<Key<Pool>>& poolKeys();
/// The keys of a backend.
const std::vector<Key<Backend>>& backendKeys();
/// The keys that are neither of a listener nor of a pool, with their sections.
const std::vector<Key<Config>>& processKeys();

/// The keys of the tables at the top of a file, in the order in which documentation lists them: those of the process,
/// and those of the default listener and the default pool, which stand in [proxy], [strategy], [shadow], [health] and
/// [ejection]. Functions of such a key take a Config whose first listener or pool is the default one.
const std::vector<Key<Config>>& configKeys();

/// The key of configKeys() with this path; it exists.
const Key<Config>& configKey(std::string_view path);

/// Where a file says what a pool has: "pools.web.", or "" for the default one.
std::string pathOf(const Pool& pool);
/// Where a file says a key of this pool or listener: "pools.web.retries", "proxy.retries", "listeners.web.address".
std::string pathIn(const Pool& pool, const Key<Pool>& key);
std::string pathIn(const Listener& listener, const Key<Listener>& key);

/// The path of each of configKeys() and backendKeys(): "proxy.backlog", "backends.weight".
std::vector<std::string> knownPaths();

/// An address to listen on; where it is none, nothing, and that has been reported.
std::optional<std::string> listenAddressOf(const Item& item, Result<std::string> (*parse)(std::string_view));

}  // namespace lemonade::config
