// SPDX-License-Identifier: MIT
#include "kernel/script.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace lemonade::kernel {

namespace {

struct Declared {
  const char* what;
  const char* name;
  const char* rest;
};

/// The sets and maps that there always are.
constexpr Declared kSets[] = {
    {"map", kBackends4, "{ type mark : ipv4_addr . inet_service; }"},
    {"map", kBackends6, "{ type mark : ipv6_addr . inet_service; }"},
    {"set", "asked4", "{ type ipv4_addr . inet_service; }"},
    {"set", "asked6", "{ type ipv6_addr . inet_service; }"},
    {"set", "asked_ports4", "{ type inet_service; }"},
    {"set", "asked_ports6", "{ type inet_service; }"},
    {"map", kEntrances4, "{ type ipv4_addr . inet_service : verdict; }"},
    {"map", kEntrances6, "{ type ipv6_addr . inet_service : verdict; }"},
    {"map", kEntrancePorts4, "{ type inet_service : verdict; }"},
    {"map", kEntrancePorts6, "{ type inet_service : verdict; }"},
};
/// The sets that packets of ours fill, and time empties: heartbeats the first, provoking packets the others. With room
/// for elements that have expired and not been collected yet.
constexpr Declared kFilled[] = {
    {"set", "alive", "{ type nf_proto; size 16; flags dynamic,timeout; timeout 3s; }"},
    {"set", "ended4",
     "{ type ipv4_addr . inet_service . ipv4_addr . inet_service; size 65536; flags dynamic,timeout; timeout 10s; }"},
    {"set", "ended6",
     "{ type ipv6_addr . inet_service . ipv6_addr . inet_service; size 65536; flags dynamic,timeout; timeout 10s; }"},
};

/// The chains that there always are.
constexpr Declared kChains[] = {
    {"chain", kQueueChain, ""},
    {"chain", "asking", ""},
    {"chain", "ended", ""},
    {"chain", "choosing", ""},
    {"chain", "own_packets", "{ type filter hook output priority raw; policy accept; }"},
    {"chain", "ask", "{ type filter hook prerouting priority mangle; policy accept; }"},
    {"chain", "ask_local", "{ type filter hook output priority mangle; policy accept; }"},
    {"chain", kRefusalChain, "{ type filter hook prerouting priority mangle + 1; policy accept; }"},
    {"chain", "refuse_local", "{ type filter hook output priority mangle + 1; policy accept; }"},
    {"chain", "choose", "{ type nat hook prerouting priority dstnat; policy accept; }"},
    {"chain", "choose_local", "{ type nat hook output priority -100; policy accept; }"},
    {"chain", "leave", "{ type nat hook postrouting priority srcnat; policy accept; }"},
};

/// Writes the commands of one table.
class Script {
 public:
  explicit Script(const std::string& table) : table_(table) {}

  void declare(const char* what, const std::string& name, const std::string& rest) {
    line(std::string("add ") + what, name, rest);
  }
  /// A connection of which one side has finished may be as idle as any other.
  void addTimeout(std::uint64_t seconds) {
    const std::string so_long = " : " + std::to_string(seconds);
    line("add ct timeout", idleName(seconds),
         "{ protocol tcp; policy = { established" + so_long + ", fin_wait" + so_long + ", close_wait" + so_long +
             " }; }");
  }
  void flush(const char* what, const std::string& name) { line(std::string("flush ") + what, name, ""); }
  void remove(const char* what, const std::string& name) { line(std::string("delete ") + what, name, ""); }
  void addRules(const std::string& chain, const std::vector<std::string>& rules) {
    for (const auto& rule : rules) line("add rule", chain, rule);
  }
  template <class Elements>
  void elements(const char* verb, const std::string& set, const Elements& elements) {
    std::string list;
    for (const auto& element : elements) list += (list.empty() ? "" : ", ") + element;
    if (!list.empty()) line(std::string(verb) + " element", set, "{ " + list + " }");
  }

  std::string text() && { return std::move(text_); }

 private:
  void line(const std::string& command, const std::string& name, const std::string& rest) {
    text_ += command + " inet " + table_ + " " + name + (rest.empty() ? "" : " ") + rest + "\n";
  }

  const std::string& table_;
  std::string text_;
};

template <std::size_t kCount>
bool isAmong(const Declared (&declared)[kCount], const std::string& name) {
  return std::any_of(std::begin(declared), std::end(declared), [&](const Declared& one) { return name == one.name; });
}

bool isStatic(const std::string& chain) { return isAmong(kChains, chain); }

bool isKnownSet(const std::string& set) { return isAmong(kFilled, set) || isAmong(kSets, set); }

/// Nothing is left in what there is, but for the rule that queues where there is none to take its place.
void clear(const Contents& contents, const Outline& existing, Script& script) {
  const auto has_rules = [&](const std::string& chain) { return contents.rules.count(chain) > 0; };
  for (const auto& chain : existing.chains)
    if (chain != kQueueChain || has_rules(chain)) script.flush("chain", chain);
  for (const auto& set : kSets)
    if (existing.sets.count(set.name) + existing.maps.count(set.name) > 0) script.flush(set.what, set.name);
  for (const auto& chain : existing.chains)
    if (!isStatic(chain) && !has_rules(chain)) script.remove("chain", chain);
  for (const auto& set : existing.sets)
    if (!isKnownSet(set)) script.remove("set", set);
  for (const auto& map : existing.maps)
    if (!isKnownSet(map)) script.remove("map", map);
  std::set<std::string> wanted;
  for (const auto seconds : contents.idle_timeouts) wanted.insert(idleName(seconds));
  for (const auto& timeout : existing.idle_timeouts)
    if (wanted.count(timeout) == 0) script.remove("ct timeout", timeout);
}

using Elements = std::map<std::string, std::string>;

/// The elements of one that the other does not have just so: their keys, or all that is said of them.
std::vector<std::string> missing(const Elements& of, const Elements& in, bool whole) {
  std::vector<std::string> elements;
  for (const auto& [key, rest] : of) {
    const auto there = in.find(key);
    if (there == in.end() || there->second != rest) elements.push_back(whole ? key + rest : key);
  }
  return elements;
}

const Elements& elementsOf(const Contents& contents, const std::string& set) {
  static const Elements kNone;
  const auto found = contents.elements.find(set);
  return found == contents.elements.end() ? kNone : found->second;
}

}  // namespace

std::string wholeScript(const std::string& table, const Contents& contents, const Outline& existing) {
  Script script(table);
  for (const auto& set : kSets) script.declare(set.what, set.name, set.rest);
  for (const auto& set : kFilled) script.declare(set.what, set.name, set.rest);
  for (const auto& chain : kChains) script.declare(chain.what, chain.name, chain.rest);
  clear(contents, existing, script);
  for (const auto seconds : contents.idle_timeouts) script.addTimeout(seconds);
  for (const auto& [chain, rules] : contents.rules)
    if (!isStatic(chain)) script.declare("chain", chain, "");
  for (const auto& [chain, rules] : contents.rules) script.addRules(chain, rules);
  for (const auto& [set, elements] : contents.elements) script.elements("add", set, missing(elements, {}, true));
  return "add table inet " + table + "\n" + std::move(script).text();
}

std::string differenceScript(const std::string& table, const Contents& from, const Contents& to) {
  Script script(table);
  for (const auto seconds : to.idle_timeouts)
    if (from.idle_timeouts.count(seconds) == 0) script.addTimeout(seconds);
  for (const auto& [chain, rules] : to.rules)
    if (from.rules.count(chain) == 0 && !isStatic(chain)) script.declare("chain", chain, "");
  for (const auto& set : kSets)
    script.elements("delete", set.name, missing(elementsOf(from, set.name), elementsOf(to, set.name), false));
  for (const auto& [chain, rules] : to.rules) {
    const auto before = from.rules.find(chain);
    if (before != from.rules.end() && before->second == rules) continue;
    if (before != from.rules.end()) script.flush("chain", chain);
    script.addRules(chain, rules);
  }
  for (const auto& set : kSets)
    script.elements("add", set.name, missing(elementsOf(to, set.name), elementsOf(from, set.name), true));
  for (const auto& [chain, rules] : from.rules) {
    if (to.rules.count(chain) > 0) continue;
    script.flush("chain", chain);
    script.remove("chain", chain);
  }
  for (const auto seconds : from.idle_timeouts)
    if (to.idle_timeouts.count(seconds) == 0) script.remove("ct timeout", idleName(seconds));
  return std::move(script).text();
}

bool isOurs(const Outline& outline) {
  if (outline.chains.empty() && outline.sets.empty() && outline.maps.empty()) return true;
  return outline.maps.count(kBackends4) > 0 && outline.chains.count(kQueueChain) > 0;
}

}  // namespace lemonade::kernel
