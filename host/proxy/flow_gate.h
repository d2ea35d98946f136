// SPDX-License-Identifier: MIT
//
// What a FlowSet asks of the kernel: what becomes of a first packet, and what conntrack knows of a flow. Worker thread
// only.
#pragma once

#include "kernel/conntrack.h"
#include "kernel/flow_events.h"
#include "kernel/packet_queue.h"
#include "kernel/resets.h"
#include "kernel/tuple.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

namespace lemonade::proxy {

class FlowGate {
 public:
  virtual ~FlowGate() = default;

  /// Lets a packet of the queue go on with this mark, which says where to.
  virtual void send(std::uint32_t packet, std::uint32_t mark) noexcept = 0;
  virtual void drop(std::uint32_t packet) noexcept = 0;
  /// The entry of the flow that began with this tuple; nothing where there is none.
  virtual std::optional<kernel::FlowEntry> find(const kernel::Tuple& original) noexcept = 0;
  /// Visits the entries of those of these flows that have one: many for little more than one.
  virtual void find(std::span<const kernel::Tuple> originals,
                    const std::function<void(const kernel::FlowEntry&)>& visit) noexcept = 0;
  /// Forgets the entry: what the client sends next begins anew. False where it is gone already.
  virtual bool forget(const kernel::FlowEntry& entry) noexcept = 0;
  /// Has the entry time out in so many seconds, unless something moves before.
  virtual void hasten(const kernel::FlowEntry& entry, std::uint32_t seconds) noexcept = 0;
  /// Has both sides of a flow whose entry is gone find out that their connection has ended, by a reset.
  virtual void reset(const kernel::FlowEntry& entry) noexcept = 0;
  /// Visits all entries of our own; false where not all could be had.
  virtual bool each(const std::function<void(const kernel::FlowEntry&)>& visit) noexcept = 0;
};

/// The kernel of this network namespace.
class KernelGate final : public FlowGate {
 public:
  /// What it is made of; opened by the control thread.
  struct Parts {
    kernel::PacketQueue queue;
    kernel::FlowEvents events;
    kernel::Conntrack conntrack;
    kernel::Resets resets;
    std::uint32_t mark = 0;  ///< that entries of our own have, under the mask
    std::uint32_t mask = 0;
  };
  explicit KernelGate(Parts parts) : parts_(std::move(parts)) {}

  kernel::PacketQueue& queue() noexcept { return parts_.queue; }
  /// Answers no more: another process is asked, also about what waits.
  void stopAnswering() noexcept {
    parts_.queue.askAnew();
    parts_.queue.close();
  }
  kernel::FlowEvents& events() noexcept { return parts_.events; }

  void send(std::uint32_t packet, std::uint32_t mark) noexcept override { parts_.queue.accept(packet, mark); }
  void drop(std::uint32_t packet) noexcept override { parts_.queue.drop(packet); }
  std::optional<kernel::FlowEntry> find(const kernel::Tuple& original) noexcept override {
    return parts_.conntrack.find(original);
  }
  void find(std::span<const kernel::Tuple> originals,
            const std::function<void(const kernel::FlowEntry&)>& visit) noexcept override {
    parts_.conntrack.find(originals, visit);
  }
  bool forget(const kernel::FlowEntry& entry) noexcept override { return parts_.conntrack.remove(entry); }
  void hasten(const kernel::FlowEntry& entry, std::uint32_t seconds) noexcept override {
    (void)parts_.conntrack.hasten(entry, seconds);
  }
  void reset(const kernel::FlowEntry& entry) noexcept override;
  bool each(const std::function<void(const kernel::FlowEntry&)>& visit) noexcept override;

 private:
  Parts parts_;
};

}  // namespace lemonade::proxy
