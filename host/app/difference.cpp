// SPDX-License-Identifier: MIT
#include "app/difference.h"

#include "config/keys.h"

#include <algorithm>
#include <map>
#include <utility>

namespace lemonade::app {

namespace {

using Lines = std::vector<std::string>;
using Backends = std::vector<config::Backend>;

void append(Lines& lines, Lines more) {
  lines.insert(lines.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
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

/// of is "" for the default pool, "pool web: " for another one.
void compareBackends(Lines& lines, const std::string& of, const Backends& before, const Backends& after) {
  const auto called = [&of](const config::Backend& backend) { return of + "backend " + backend.id + ": "; };
  compare(
      before, after, [](const config::Backend& backend) { return backend.id; },
      [&](const config::Backend& backend) { lines.push_back(called(backend) + "added"); },
      [&](const config::Backend& old, const config::Backend& now) {
        for (const auto& key : config::backendKeys()) append(lines, key.changes(called(now) + key.name, old, now));
      },
      [&](const config::Backend& backend) { lines.push_back(called(backend) + "removed"); });
  // Strategies see the backends in this order.
  const auto same_id = [](const auto& one, const auto& other) { return one.id == other.id; };
  if (!std::equal(before.begin(), before.end(), after.begin(), after.end(), same_id) &&
      std::is_permutation(before.begin(), before.end(), after.begin(), after.end(), same_id))
    lines.push_back(of + "backends: another order");
}

void compareListeners(Lines& lines, const config::Config& before, const config::Config& after) {
  compare(
      before.listeners, after.listeners, [](const config::Listener& listener) { return listener.name; },
      [&](const config::Listener& listener) { lines.push_back("listener " + listener.name + " added"); },
      [&](const config::Listener& old, const config::Listener& now) {
        for (const auto& key : config::listenerKeys()) append(lines, key.changes(pathIn(now, key), old, now));
      },
      [&](const config::Listener& listener) { lines.push_back("listener " + listener.name + " removed"); });
}

void comparePools(Lines& lines, const config::Config& before, const config::Config& after) {
  compare(
      before.pools, after.pools, [](const config::Pool& pool) { return pool.name; },
      [&](const config::Pool& pool) { lines.push_back("pool " + pool.name + " added"); },
      [&](const config::Pool& old, const config::Pool& now) {
        for (const auto& key : config::poolKeys()) append(lines, key.changes(pathIn(now, key), old, now));
        compareBackends(lines, now.name == config::kDefaultName ? "" : "pool " + now.name + ": ", old.backends,
                        now.backends);
      },
      [&](const config::Pool& pool) { lines.push_back("pool " + pool.name + " removed"); });
}

}  // namespace

std::vector<std::string> differences(const config::Config& before, const config::Config& after) {
  Lines lines;
  for (const auto& key : config::processKeys()) append(lines, key.changes(key.path(), before, after));
  compareListeners(lines, before, after);
  comparePools(lines, before, after);
  return lines;
}

}  // namespace lemonade::app
