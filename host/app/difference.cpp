// SPDX-License-Identifier: MIT
#include "app/difference.h"

#include "config/keys.h"

#include <algorithm>
#include <map>

namespace lemonade::app {

namespace {

using Lines = std::vector<std::string>;
using Backends = std::vector<config::Backend>;

void append(Lines& lines, Lines more) {
  lines.insert(lines.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

void compareBackends(Lines& lines, const Backends& before, const Backends& after) {
  std::map<std::string, const config::Backend*> old;
  for (const auto& backend : before) old[backend.id] = &backend;
  for (const auto& backend : after) {
    const auto name = "backend " + backend.id + ": ";
    const auto found = old.find(backend.id);
    if (found == old.end()) {
      lines.push_back(name + "added");
      continue;
    }
    for (const auto& key : config::backendKeys())
      append(lines, key.field.changes(name + key.name, *found->second, backend));
    old.erase(found);
  }
  for (const auto& [id, backend] : old) lines.push_back("backend " + id + ": removed");
  // Strategies see the backends in this order.
  const auto same_id = [](const auto& one, const auto& other) { return one.id == other.id; };
  if (!std::equal(before.begin(), before.end(), after.begin(), after.end(), same_id) &&
      std::is_permutation(before.begin(), before.end(), after.begin(), after.end(), same_id))
    lines.push_back("backends: another order");
}

}  // namespace

std::vector<std::string> differences(const config::Config& before, const config::Config& after) {
  Lines lines;
  for (const auto& key : config::configKeys()) append(lines, key.field.changes(key.path(), before, after));
  compareBackends(lines, before.pools.front().backends, after.pools.front().backends);
  return lines;
}

}  // namespace lemonade::app
