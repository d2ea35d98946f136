// SPDX-License-Identifier: MIT
#include "kernel/rules.h"

#include "kernel/marks.h"
#include "kernel/shares.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <iterator>

namespace lemonade::kernel {

namespace {

/// Only the packet that opens a connection: what conntrack takes for new in the middle of one is none of ours.
constexpr const char* kIsSyn = "tcp flags & (fin|syn|rst|ack) == syn";
/// The kernel counts ticks of a policy, 1000 a second at most, and takes what is more than 2^31 for over.
constexpr std::uint64_t kLongestTimeout = 24 * 86'400;
constexpr std::size_t kLongestName = 100;

std::string hex(std::uint32_t mark) {
  char text[16];
  std::snprintf(text, sizeof(text), "0x%08" PRIx32, mark);
  return text;
}

bool isIp(const Address& address) { return address.family() == AF_INET || address.family() == AF_INET6; }

std::string hostText(const Address& address) {
  char text[INET6_ADDRSTRLEN] = "";
  const void* bytes = address.family() == AF_INET
                          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr)
                          : &reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr;
  ::inet_ntop(address.family(), bytes, text, sizeof(text));
  return text;
}

std::string concatenated(const Address& address) { return hostText(address) + " . " + std::to_string(address.port()); }

/// A set of this name for the family: "asked" is "asked4" or "asked6".
std::string ofFamily(const char* name, int family) { return std::string(name) + (family == AF_INET ? "4" : "6"); }

/// " comment "0123456789abcdef pool/id"", in characters that a comment may have.
std::string comment(const TablePlan::Backend& backend) {
  char identity[20];
  std::snprintf(identity, sizeof(identity), "%016" PRIx64, backend.identity);
  std::string name = backend.name.substr(0, kLongestName);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c < ' ' || c > '~' || c == '"' || c == '\\'; }, '?');
  return std::string(" comment \"") + identity + " " + name + "\"";
}

std::string chainOf(const TablePlan::Listener& listener) { return kListenerChain + std::to_string(listener.number); }

/// The kernel always has some timeout; its own for half closed connections is a minute.
std::uint64_t idleSeconds(const TablePlan::Listener& listener) {
  if (listener.idle_timeout <= Duration::zero()) return kLongestTimeout;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(listener.idle_timeout).count();
  return std::min(static_cast<std::uint64_t>(seconds), kLongestTimeout);
}

/// Those of the family that are eligible.
std::vector<TablePlan::Choice> choicesOf(const TablePlan::Listener& listener, const TablePlan& plan, int family) {
  std::set<std::uint32_t> slots;
  for (const auto& backend : plan.backends)
    if (backend.address.family() == family) slots.insert(backend.slot);
  std::vector<TablePlan::Choice> choices;
  std::copy_if(listener.eligible.begin(), listener.eligible.end(), std::back_inserter(choices),
               [&](const TablePlan::Choice& choice) { return choice.weight > 0 && slots.count(choice.slot) > 0; });
  return choices;
}

/// What the mark of a packet is set to where nobody was asked: "numgen random mod 4 map { 0-2 : mark, 3 : mark }".
std::string anyOf(const std::vector<TablePlan::Choice>& choices, std::uint16_t tag, bool keep_source) {
  const auto mark = [&](std::uint32_t slot) { return hex(backendMark(tag, slot, keep_source)); };
  if (choices.size() == 1) return mark(choices.front().slot);
  const Shares shares = sharesOf(choices);
  std::string text = "numgen random mod " + std::to_string(shares.sum) + " map {";
  const char* separator = " ";
  for (const auto& share : shares.ranges) {
    text += separator + std::to_string(share.first);
    if (share.last != share.first) text += "-" + std::to_string(share.last);
    text += " : " + mark(share.slot);
    separator = ", ";
  }
  return text + " }";
}

std::string nfproto(int family) { return std::string("meta nfproto ") + (family == AF_INET ? "ipv4" : "ipv6"); }

std::vector<std::string> listenerRules(const TablePlan::Listener& listener, const TablePlan& plan) {
  const std::string ours = "meta mark & 0xffff0000 ";
  const std::string tag = hex(tagBits(plan.tag));
  std::set<int> families;
  for (const auto& address : listener.addresses) families.insert(address.family());
  std::vector<std::string> rules;
  for (const int family : families) {
    const auto choices = choicesOf(listener, plan, family);
    if (!choices.empty())
      rules.push_back(ours + "!= " + tag + " " + nfproto(family) + " meta mark set " +
                      anyOf(choices, plan.tag, listener.keep_source));
  }
  rules.push_back(ours + "!= " + tag + " return");
  rules.push_back("ct mark set meta mark");
  rules.push_back("ct timeout set \"" + idleName(idleSeconds(listener)) + "\"");
  for (const int family : families)
    rules.push_back(nfproto(family) + " meta l4proto tcp dnat " + (family == AF_INET ? "ip" : "ip6") +
                    " to meta mark & 0xffff1fff map @" + ofFamily("backends", family));
  rules.push_back("ct mark set 0x00000000");  // the backend has gone: the connection is none of ours
  return rules;
}

void addStaticRules(const TablePlan& plan, Contents& contents) {
  auto& rules = contents.rules;
  const std::string syn = kIsSyn;
  const std::string is_alive = syn + " ct state new meta nfproto @alive goto asking";
  const std::string is_refused = "meta mark " + hex(refusalMark(plan.tag)) + " reject with tcp reset";
  const std::string to_queue = std::string(" goto ") + kQueueChain;
  const std::string has_reset =
      "tcp flags & rst == rst ct direction reply ct mark & 0xffff0000 == " + hex(tagBits(plan.tag)) +
      " ct mark set ct mark | " + hex(kResetBit);
  // Its entry is gone already: connection tracking forgets what was answered by nothing but a RST.
  const std::string has_refused = "tcp flags & rst == rst ct direction reply ct status dying ct mark & " +
                                  hex(kTagMask | kRetryBit) + " == " + hex(tagBits(plan.tag) | kRetryBit) + " drop";
  rules["ask"] = rules["ask_local"] = {is_alive, has_refused, has_reset};
  // Cheap for who is in a connection. A SYN may begin another one from the same port.
  rules["ask"].push_back("ct state new,invalid tcp flags & (syn|rst) == 0x0 goto ended");
  rules["ended"] = {
      "ip saddr . tcp sport . ip daddr . tcp dport @ended4 reject with tcp reset",
      "ip6 saddr . tcp sport . ip6 daddr . tcp dport @ended6 reject with tcp reset",
  };
  rules["asking"] = {
      "ct mark & 0xffff0000 == " + hex(tagBits(plan.tag)) + " return",  // a SYN that comes again
      "ip daddr . tcp dport @asked4" + to_queue,
      "ip6 daddr . tcp dport @asked6" + to_queue,
      "meta nfproto ipv4 tcp dport @asked_ports4 fib daddr type local" + to_queue,
      "meta nfproto ipv6 tcp dport @asked_ports6 fib daddr type local" + to_queue,
  };
  rules[kRefusalChain] = rules["refuse_local"] = {is_refused};
  rules["choose"] = rules["choose_local"] = {syn + " goto choosing"};
  rules["choosing"] = {
      "ip daddr . tcp dport vmap @entrances4",
      "ip6 daddr . tcp dport vmap @entrances6",
      "meta nfproto ipv4 fib daddr type local tcp dport vmap @entrance_ports4",
      "meta nfproto ipv6 fib daddr type local tcp dport vmap @entrance_ports6",
  };
  // What stays on this machine has one of its addresses already; loopback has none that could stand for another.
  rules["leave"] = {"ct mark & 0xffff8000 == " + hex(tagBits(plan.tag)) + " oifname != \"lo\" masquerade"};
  const std::string is_provoking = "meta mark " + hex(resetMark(plan.tag));
  rules["own_packets"] = {
      "meta mark " + hex(heartbeatMark(plan.tag)) + " update @alive { meta nfproto } drop",
      is_provoking + " notrack",  // first: where a set is full the rule ends there
      is_provoking + " update @ended4 { ip daddr . tcp dport . ip saddr . tcp sport }",
      is_provoking + " update @ended6 { ip6 daddr . tcp dport . ip6 saddr . tcp sport }",
  };
}

void addListener(const TablePlan::Listener& listener, const TablePlan& plan, Contents& contents) {
  contents.rules[chainOf(listener)] = listenerRules(listener, plan);
  contents.idle_timeouts.insert(idleSeconds(listener));
  for (const auto& address : listener.addresses) {
    const bool wildcard = address.isWildcard();
    const std::string key = wildcard ? std::to_string(address.port()) : concatenated(address);
    contents.elements[ofFamily(wildcard ? "asked_ports" : "asked", address.family())][key] = "";
    contents.elements[ofFamily(wildcard ? "entrance_ports" : "entrances", address.family())][key] =
        " : goto " + chainOf(listener);
  }
}

}  // namespace

std::string idleName(std::uint64_t seconds) { return "idle_" + std::to_string(seconds) + "s"; }

Status checkPlan(const TablePlan& plan) {
  std::set<std::uint32_t> slots;
  for (const auto& backend : plan.backends) {
    const std::string of = "backend " + backend.name + ": ";
    if (backend.slot < kFirstSlot || backend.slot > kLastSlot)
      return Error{of + "slot " + std::to_string(backend.slot) + " is out of range"};
    if (!slots.insert(backend.slot).second)
      return Error{of + "slot " + std::to_string(backend.slot) + " is another's, too"};
    if (!isIp(backend.address) || backend.address.port() == 0)
      return Error{of + "the kernel cannot forward to " + backend.address.text()};
  }
  std::set<std::uint32_t> numbers;
  for (const auto& listener : plan.listeners) {
    const std::string of = "listener " + std::to_string(listener.number) + ": ";
    if (!numbers.insert(listener.number).second) return Error{of + "the number is another's, too"};
    for (const auto& address : listener.addresses)
      if (!isIp(address) || address.port() == 0) return Error{of + "the kernel cannot forward from " + address.text()};
  }
  return success();
}

Contents contentsOf(const TablePlan& plan, QueueBy queue_by) {
  Contents contents;
  addStaticRules(plan, contents);
  if (queue_by == QueueBy::kNft) contents.rules[kQueueChain] = {"queue num " + std::to_string(plan.queue) + " bypass"};
  for (const auto& backend : plan.backends)
    contents.elements[ofFamily("backends", backend.address.family())][hex(backendMark(plan.tag, backend.slot, false))] =
        comment(backend) + " : " + concatenated(backend.address);
  for (const auto& listener : plan.listeners) addListener(listener, plan, contents);
  return contents;
}

}  // namespace lemonade::kernel
