// SPDX-License-Identifier: MIT
//
// Which contents of plugins are not to be used any more because a call of theirs was broken off, or because a strategy
// fared badly on probation: until the file has another content, or an operator releases the plugin. What failed as a
// shadow only is kept from being one again; it may decide where somebody wants that. Any thread.
#pragma once

#include "plugin/broken_call.h"
#include "plugin/fault.h"
#include "plugin/guard.h"

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace lemonade::app {

class Quarantine {
 public:
  struct Entry {
    plugin::InstanceInfo info;  ///< of the instance that gave the reason
    std::string function;       ///< which was called; "" where no call was broken off
    std::string reason;         ///< "SIGSEGV at 0x8 in pick"
    std::uint64_t since_unix_ns = 0;
    bool active = true;  ///< something that runs stands in for it, or would be it
  };
  /// A plugin's id, a function and why calls of it were broken off.
  using Which = std::tuple<std::string, plugin::Function, plugin::FaultKind>;

  /// Adds a content. False where it is here already, of which the first reason stays; one that failed as a shadow gives
  /// way to one that decided.
  bool add(Entry entry);
  /// What a process before knew of a content that is here already. False where it is not.
  bool inherit(const Entry& entry);
  /// Lets the plugin of this id go, whatever its content; returns what that was.
  std::vector<Entry> release(const std::string& id);
  /// Why this content is not to be used; nothing where it may be.
  std::optional<Entry> find(const std::string& hash) const;
  /// The same of one that is to be a shadow.
  std::optional<Entry> findForShadow(const std::string& hash) const;
  bool contains(const std::string& hash) const { return find(hash).has_value(); }
  /// The contents that what runs stands in for, or is broken of: the others are no reason to worry any more.
  void setActive(const std::set<std::string>& hashes);
  std::vector<Entry> all() const;
  /// Those that are active.
  std::vector<Entry> active() const;

  void count(const plugin::BrokenCall& call);
  std::map<Which, std::uint64_t> counts() const;

 private:
  mutable std::mutex mutex_;              // guards what follows
  std::map<std::string, Entry> entries_;  // by hash of the content
  std::map<Which, std::uint64_t> counts_;
};

/// "plugin com.example.x 2.0.0 is quarantined: SIGSEGV at 0x8 in pick".
std::string textOf(const Quarantine::Entry& entry);

/// The same with what to do about it, for who wants to use the content.
std::string refusalOf(const Quarantine::Entry& entry);

}  // namespace lemonade::app
