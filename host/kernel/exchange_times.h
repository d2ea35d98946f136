// SPDX-License-Identifier: MIT
//
// How long backends take to answer where the kernel forwards: a program at the kernel's hook "forward" of this network
// namespace times the exchanges of all flows that bear our mark (exchanges.bpf.c). It ends with this object, and with
// the process: nothing is left in the kernel.
//
// A build without clang or libbpf has no such program (LEMONADE_EXCHANGE_TIMES, docs/kernel-forwarding.md); there
// absent/exchange_times.cpp answers.
#pragma once

#include "base/result.h"
#include "kernel/tuple.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace lemonade::kernel {

/// One thread at a time, which need not be the one that opened it.
class ExchangeTimes {
 public:
  /// The error says that this build cannot, and how to get one that can. Any thread.
  static Status checkBuild();
  /// Loads the program and has it look at what the namespace of the calling thread forwards. An error says what is
  /// missing: Linux 6.4, its types (CONFIG_DEBUG_INFO_BTF), or one of CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN.
  static Result<std::unique_ptr<ExchangeTimes>> open(std::uint16_t tag);

  virtual ~ExchangeTimes() = default;

  /// Becomes readable with the first exchange that is answered kWakeNs after it was so last; what comes until then is
  /// to be read without being told.
  virtual int fd() const noexcept = 0;
  static constexpr std::uint64_t kWakeNs = 20'000'000;

  struct Exchange {
    std::uint32_t slot = 0;
    std::uint64_t started_ns = 0;
    std::uint64_t answered_ns = 0;
    std::uint64_t flow = 0;  ///< whose it is, see idOf()
  };
  using Visit = std::function<void(const Exchange&)>;
  /// Visits each that was answered since the last call, in their order.
  virtual void read(const Visit& visit) noexcept = 0;

  /// What the backend of a slot owes at this time of the monotonic clock. The numbers need not belong together.
  struct Owed {
    std::uint32_t asked = 0;  ///< ever, modulo 2^32
    std::uint32_t waiting = 0;
    std::uint64_t age_sum_ns = 0;  ///< of those that wait
  };
  virtual Owed owed(std::uint32_t slot, std::uint64_t now_ns) const noexcept = 0;

  /// By what a flow is named here. Another one may have the same name, as rarely as two of 2^64 numbers drawn by chance
  /// are the same. original: client to listener.
  virtual std::uint64_t idOf(const Tuple& original) const noexcept = 0;
  /// Since when a flow with that name waits for the backend of a slot, monotonic nanoseconds; nothing where it does
  /// not, or has lost its place to another one.
  virtual std::optional<std::uint64_t> waitsSince(std::uint64_t flow, std::uint32_t slot,
                                                  std::uint64_t now_ns) const noexcept = 0;

  /// A flow is over, with or without a packet that says so: it waits no more.
  virtual void forget(const Tuple& original, std::uint32_t slot) noexcept = 0;
};

}  // namespace lemonade::kernel
