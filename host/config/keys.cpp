// SPDX-License-Identifier: MIT
#include "config/keys.h"

#include <algorithm>

namespace lemonade::config {
namespace {

constexpr const char* kProxy = "proxy";
constexpr const char* kAddress = "address";
constexpr const char* kListenAddress = "listen_address";  // what [proxy] calls it

using Keys = std::vector<Key<Config>>;

void addOfProcess(Keys& all, std::string_view section) {
  for (const auto& key : processKeys())
    if (key.section == section) all.push_back(key);
}

void addOfDefaultListener(Keys& all) {
  for (const auto& key : listenerKeys()) {
    all.push_back(key.within<Config>(
        kProxy, [](auto& config) -> auto& { return config.listeners.front(); }));
    if (key.name == kAddress) all.back().name = kListenAddress;
  }
}

void addOfDefaultPool(Keys& all, std::string_view section) {
  for (const auto& key : poolKeys())
    if (key.section == section)
      all.push_back(key.within<Config>(
          section.empty() ? kProxy : std::string(section), [](auto& config) -> auto& { return config.pools.front(); }));
}

Keys makeConfigKeys() {
  Keys all;
  addOfProcess(all, "runtime");
  addOfDefaultListener(all);
  addOfDefaultPool(all, "");
  addOfProcess(all, kProxy);
  for (const auto* section : {"strategy", "shadow", "health", "ejection"}) addOfDefaultPool(all, section);
  for (const auto* section : {"metrics", "admin", "plugins", "kernel", "log"}) addOfProcess(all, section);
  return all;
}

}  // namespace

const std::vector<Key<Config>>& configKeys() {
  static const auto& keys = *new Keys(makeConfigKeys());
  return keys;
}

const Key<Config>& configKey(std::string_view path) {
  return *std::find_if(configKeys().begin(), configKeys().end(),
                       [path](const Key<Config>& key) { return key.path() == path; });
}

std::string pathOf(const Pool& pool) { return pool.name == kDefaultName ? "" : "pools." + pool.name + "."; }

std::string pathIn(const Pool& pool, const Key<Pool>& key) {
  const bool in_proxy = pool.name == kDefaultName && key.section.empty();
  return in_proxy ? std::string(kProxy) + "." + key.name : pathOf(pool) + key.path();
}

std::string pathIn(const Listener& listener, const Key<Listener>& key) {
  if (listener.name != kDefaultName) return "listeners." + listener.name + "." + key.name;
  return std::string(kProxy) + "." + (key.name == kAddress ? kListenAddress : key.name);
}

std::vector<std::string> knownPaths() {
  std::vector<std::string> paths;
  for (const auto& key : configKeys()) paths.push_back(key.path());
  for (const auto& key : backendKeys()) paths.push_back("backends." + key.name);
  return paths;
}

}  // namespace lemonade::config
