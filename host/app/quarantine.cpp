// SPDX-License-Identifier: MIT
#include "app/quarantine.h"

#include <utility>

namespace lemonade::app {

bool Quarantine::add(Entry entry) {
  const std::string hash = entry.info.hash;
  if (hash.empty()) return true;  // no file's content
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(hash);
  if (found == entries_.end()) return entries_.emplace(hash, std::move(entry)).second;
  if (!found->second.info.shadow || entry.info.shadow) return false;
  found->second = std::move(entry);
  return true;
}

bool Quarantine::inherit(const Entry& entry) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(entry.info.hash);
  if (found == entries_.end()) return false;
  const bool active = found->second.active;
  found->second = entry;
  found->second.active = active;
  return true;
}

std::vector<Quarantine::Entry> Quarantine::release(const std::string& id) {
  std::vector<Entry> released;
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const auto& one) {
    if (one.second.info.id != id) return false;
    released.push_back(one.second);
    return true;
  });
  return released;
}

std::optional<Quarantine::Entry> Quarantine::find(const std::string& hash) const {
  auto entry = findForShadow(hash);
  return entry && entry->info.shadow ? std::nullopt : entry;
}

std::optional<Quarantine::Entry> Quarantine::findForShadow(const std::string& hash) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(hash);
  return found == entries_.end() ? std::nullopt : std::optional(found->second);
}

void Quarantine::setActive(const std::set<std::string>& hashes) {
  const std::lock_guard lock(mutex_);
  for (auto& [hash, entry] : entries_) entry.active = hashes.contains(hash);
}

std::vector<Quarantine::Entry> Quarantine::all() const {
  std::vector<Entry> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [hash, entry] : entries_) all.push_back(entry);
  return all;
}

std::vector<Quarantine::Entry> Quarantine::active() const {
  std::vector<Entry> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [hash, entry] : entries_)
    if (entry.active) all.push_back(entry);
  return all;
}

void Quarantine::count(const plugin::BrokenCall& call) {
  const std::lock_guard lock(mutex_);
  ++counts_[{call.info.id, call.function, call.kind}];
}

std::map<Quarantine::Which, std::uint64_t> Quarantine::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

std::string textOf(const Quarantine::Entry& entry) {
  return "plugin " + entry.info.id + " " + entry.info.version + " is quarantined" +
         (entry.info.shadow ? " as a shadow: " : ": ") + entry.reason;
}

std::string refusalOf(const Quarantine::Entry& entry) {
  return "plugin " + entry.info.id + " " + entry.info.version + " (" + entry.info.file + ") is quarantined" +
         (entry.info.shadow ? " as a shadow: " : ": ") + entry.reason +
         "; put another version there, or release it: lemonade release " + entry.info.id;
}

}  // namespace lemonade::app
