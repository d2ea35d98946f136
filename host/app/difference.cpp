// SPDX-License-Identifier: MIT
#include "app/difference.h"

#include "config/host_port.h"
#include "config/keys.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

namespace lemonade::app {

namespace {

using Lines = std::vector<std::string>;
using Differences = std::vector<Difference>;
using Backends = std::vector<config::Backend>;

/// Adds how the values of a key differ, where they do. key is where a file says it, called how a line begins.
template <class Target>
void compareKey(Differences& all, const config::Key<Target>& key, const std::string& path, const std::string& called,
                const Target& before, const Target& after) {
  if (auto lines = key.changes(called, before, after); !lines.empty())
    all.push_back({path, key.show(before), key.show(after), std::move(lines)});
}

std::string idsOf(const Backends& backends) {
  std::string ids;
  for (const auto& backend : backends) ids += (ids.empty() ? "" : ", ") + backend.id;
  return ids;
}

std::string addressesOf(const config::Listener& listener) {
  std::string addresses;
  for (const auto& listen : listener.addresses) addresses += (addresses.empty() ? "" : ", ") + listen.address;
  return addresses;
}

/// Calls come, go or stay for each named thing of two lists, in the order of the newer one; those that are gone last.
template <class Named, class Name, class Come, class Stay, class Go>
void compare(const std::vector<Named>& before, const std::vector<Named>& after, Name name, Come come, Stay stay,
             Go go) {
  std::map<std::string, const Named*> old;
  for (const auto& one : before) old[name(one)] = &one;
  for (const auto& one : after) {
    const auto found = old.find(name(one));
    if (found == old.end()) {
      come(one);
      continue;
    }
    stay(*found->second, one);
    old.erase(found);
  }
  for (const auto& [id, one] : old) go(*one);
}

/// of is "" for the default pool, "pool web: " for another one; where is where a file has the backends.
void compareBackends(Differences& all, const std::string& of, const std::string& where, const Backends& before,
                     const Backends& after) {
  const auto called = [&of](const config::Backend& backend) { return of + "backend " + backend.id + ": "; };
  const auto path = [&where](const config::Backend& backend) { return where + "." + backend.id; };
  const auto address = [](const config::Backend& backend) { return config::addressText(backend.host, backend.port); };
  compare(
      before, after, [](const config::Backend& backend) { return backend.id; },
      [&](const config::Backend& backend) {
        all.push_back({path(backend), std::nullopt, address(backend), {called(backend) + "added"}});
      },
      [&](const config::Backend& old, const config::Backend& now) {
        for (const auto& key : config::backendKeys())
          compareKey(all, key, path(now) + "." + key.name, called(now) + key.name, old, now);
      },
      [&](const config::Backend& backend) {
        all.push_back({path(backend), address(backend), std::nullopt, {called(backend) + "removed"}});
      });
  // Strategies see the backends in this order.
  const auto same_id = [](const auto& one, const auto& other) { return one.id == other.id; };
  if (!std::equal(before.begin(), before.end(), after.begin(), after.end(), same_id) &&
      std::is_permutation(before.begin(), before.end(), after.begin(), after.end(), same_id))
    all.push_back({where, idsOf(before), idsOf(after), {of + "backends: another order"}});
}

void compareListeners(Differences& all, const config::Config& before, const config::Config& after) {
  compare(
      before.listeners, after.listeners, [](const config::Listener& listener) { return listener.name; },
      [&](const config::Listener& listener) {
        const std::string name = "listener " + listener.name;
        all.push_back({name, std::nullopt, addressesOf(listener), {name + " added"}});
      },
      [&](const config::Listener& old, const config::Listener& now) {
        for (const auto& key : config::listenerKeys())
          compareKey(all, key, pathIn(now, key), pathIn(now, key), old, now);
      },
      [&](const config::Listener& listener) {
        const std::string name = "listener " + listener.name;
        all.push_back({name, addressesOf(listener), std::nullopt, {name + " removed"}});
      });
}

void comparePools(Differences& all, const config::Config& before, const config::Config& after) {
  compare(
      before.pools, after.pools, [](const config::Pool& pool) { return pool.name; },
      [&](const config::Pool& pool) {
        all.push_back({"pool " + pool.name, std::nullopt, idsOf(pool.backends), {"pool " + pool.name + " added"}});
      },
      [&](const config::Pool& old, const config::Pool& now) {
        for (const auto& key : config::poolKeys()) compareKey(all, key, pathIn(now, key), pathIn(now, key), old, now);
        compareBackends(all, now.name == config::kDefaultName ? "" : "pool " + now.name + ": ",
                        pathOf(now) + "backends", old.backends, now.backends);
      },
      [&](const config::Pool& pool) {
        all.push_back({"pool " + pool.name, idsOf(pool.backends), std::nullopt, {"pool " + pool.name + " removed"}});
      });
}

}  // namespace

std::vector<Difference> differencesOf(const config::Config& before, const config::Config& after) {
  Differences all;
  for (const auto& key : config::processKeys()) compareKey(all, key, key.path(), key.path(), before, after);
  compareListeners(all, before, after);
  comparePools(all, before, after);
  return all;
}

std::vector<std::string> differences(const config::Config& before, const config::Config& after) {
  Lines lines;
  for (auto& difference : differencesOf(before, after))
    lines.insert(lines.end(), std::make_move_iterator(difference.lines.begin()),
                 std::make_move_iterator(difference.lines.end()));
  return lines;
}

}  // namespace lemonade::app
