// SPDX-License-Identifier: MIT
//
// A flow set before a kernel that does what the test says, with a pool in this process. Nothing here waits.
#pragma once

#include "proxy/flow_set.h"

#include "kernel/marks.h"
#include "unit/proxy/one_worker.h"

#include <catch2/catch.hpp>

#include <map>
#include <string>
#include <vector>

namespace lemonade::proxy {

using namespace std::chrono_literals;
using kernel::FlowEntry;
using kernel::FlowEvent;
using kernel::TcpState;
using Sent = std::vector<std::uint32_t>;

constexpr std::uint16_t kTag = 0x4c4d;

/// The first packet of a connection: IPv4 and TCP, without options.
inline std::vector<std::byte> synOf(const kernel::Tuple& tuple) {
  std::vector<std::byte> packet(40);
  const auto put = [&](std::size_t at, std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) packet[at + i] = std::byte(value >> (8 * (bytes - 1 - i)));
  };
  put(0, 0x45, 1);
  put(2, 40, 2);
  put(8, 64, 1);
  put(9, 6, 1);
  for (std::size_t i = 0; i < 4; ++i) {
    packet[12 + i] = std::byte(tuple.source_host[i]);
    packet[16 + i] = std::byte(tuple.destination_host[i]);
  }
  put(20, tuple.source_port, 2);
  put(22, tuple.destination_port, 2);
  put(32, 5 << 4, 1);
  put(33, 2, 1);
  put(34, 65535, 2);
  return packet;
}

/// Notes what it is told, and knows the entries that the test has made.
struct ScriptedGate final : FlowGate {
  void send(std::uint32_t packet, std::uint32_t mark) noexcept override { sent[packet] = mark; }
  void drop(std::uint32_t packet) noexcept override { dropped.push_back(packet); }
  std::optional<FlowEntry> find(const kernel::Tuple& original) noexcept override {
    for (const auto& entry : entries)
      if (entry.original == original) return entry;
    return std::nullopt;
  }
  void find(std::span<const kernel::Tuple> originals,
            const std::function<void(const FlowEntry&)>& visit) noexcept override {
    ++questions;
    for (const auto& original : originals)
      if (const auto entry = find(original)) visit(*entry);
  }
  bool forget(const FlowEntry& entry) noexcept override {
    forgotten.push_back(entry.id);
    return std::erase_if(entries, [&](const auto& one) { return one.id == entry.id; }) != 0;
  }
  void hasten(const FlowEntry& entry, std::uint32_t seconds) noexcept override { hastened[entry.id] = seconds; }
  void reset(const FlowEntry& entry) noexcept override { resets.push_back(entry.id); }
  bool each(const std::function<void(const FlowEntry&)>& visit) noexcept override {
    for (const auto& entry : entries) visit(entry);
    return true;
  }

  std::map<std::uint32_t, std::uint32_t> sent, hastened;
  Sent dropped, forgotten, resets;
  std::vector<FlowEntry> entries;
  int questions = 0;
};

struct OneGate : OneWorker {
  OneGate() { flows.open(gate); }
  ~OneGate() { flows.letGo(); }

  /// The kernel forwards to these backends from now on.
  void forward(const std::vector<std::string>& addresses, std::uint32_t limit = 0) {
    backends(addresses, limit);
    plan = std::make_shared<FlowPlan>();
    plan->tag = kTag;
    plan->entrances.push_back({*Address::parse("192.0.2.80:80"), listener, false});
    plan->entrances.push_back({*Address::parse("192.0.2.80:82"), second, false});
    std::uint32_t slot = 0;
    for (const auto& one : *pool.backends()) {
      plan->places[++slot] = {one, std::shared_ptr<Pool>(std::shared_ptr<void>(), &pool)};
      plan->slots[one.get()] = slot;
    }
    flows.use(plan);
  }
  static kernel::Tuple tuple(std::uint16_t port, const char* to = "192.0.2.80:80") {
    return kernel::Tuple::between(*Address::parse("198.51.100.7:" + std::to_string(port)), *Address::parse(to));
  }
  /// The first packet of a client from this port, whose id is the port.
  void syn(std::uint16_t port, const char* to = "192.0.2.80:80") {
    const auto bytes = synOf(tuple(port, to));
    flows.handlePacket({port, 0, bytes});
  }
  /// What conntrack has of the client from this port.
  FlowEntry& entry(std::uint16_t port, TcpState state, std::uint32_t id = 0) {
    for (auto& one : gate.entries)
      if (one.original == tuple(port)) {
        one.state = state;
        return one;
      }
    FlowEntry made;
    made.original = tuple(port);
    made.id = id != 0 ? id : port;
    made.mark = gate.sent.contains(port) ? gate.sent[port] : kernel::backendMark(kTag, 1, false);
    const auto place = plan->places.find(kernel::slotOf(made.mark));
    const Address from = place != plan->places.end() ? place->second.backend->address() : *Address::parse(kA);
    made.reply = kernel::Tuple::between(from, *Address::parse("192.0.2.80:" + std::to_string(port)));
    made.state = state;
    gate.entries.push_back(made);
    return gate.entries.back();
  }
  void tell(FlowEvent::What what, const FlowEntry& entry) {
    flows.handleEvent({what, entry});
    flows.closeEnding();
  }
  void connected(std::uint16_t port) {
    tell(FlowEvent::What::kNew, entry(port, TcpState::kSynSent));
    auto& known = entry(port, TcpState::kSynReceived);
    known.seen_reply = true;
    tell(FlowEvent::What::kUpdate, known);
    known.assured = true;
    tell(FlowEvent::What::kUpdate, entry(port, TcpState::kEstablished));
  }
  void passes(Duration time) {
    clock.advance(time);
    flows.handleDue(now());
  }
  std::uint32_t active() const { return backend->active(); }
  BackendCounters& counted() { return backend->counters(0); }

  ScriptedGate gate;
  std::shared_ptr<FlowPlan> plan;
  std::shared_ptr<Listener> second = makeListener(100, "second");  ///< at port 82
  FlowSet flows{0, mailbox, clock};
};

}  // namespace lemonade::proxy
