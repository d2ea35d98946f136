// SPDX-License-Identifier: MIT
//
// The nft table of a balancer in the kernel: made, changed by what differs, looked at, taken away. Every change is one
// transaction, so that each packet meets the table of before or that of after; no table of another name is touched.
// The one exception: where the kernel's nftables cannot queue, a new number of the queue is a transaction of its own
// behind the other.
//
// Calls block while the kernel works, mostly for an RCU grace period: about 12 ms a transaction, more with thousands of
// backends. One thread at a time, which is in the network namespace of the table.
#pragma once

#include "base/result.h"
#include "kernel/rules.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::kernel {

class Table {
 public:
  /// What another process, or another object, left in the kernel: slots are to be kept as its connections have them.
  struct Left {
    std::uint16_t tag = 0;
    std::optional<std::uint16_t> queue{};  ///< nothing where no rule queues
    std::vector<TablePlan::Backend> backends{};
    /// Where connections go to a listener's chain, in no order; 0.0.0.0 and [::] stand for each of the machine's.
    std::vector<Address> entrances{};
  };

  /// Does nothing to the kernel. A name has letters, digits and '_', begins with a letter, and is no word of nft's own.
  explicit Table(std::string name);

  /// Whether the kernel has all that a table takes, and this process the right; changes nothing. Where there is a table
  /// of this name nothing is tried. The error says what is missing and the mend.
  Status check() const;

  /// Makes the table as planned. The first time, and after an error, all of it, in place of one of that name that was
  /// left: nobody who was asked before stays without an answer by it. Later what differs; where something removed what
  /// was there, all of it again. Nobody is asked before refresh(). An error where another's table has the name.
  Status apply(const TablePlan& plan);

  /// Says that packets in the queue are answered: they are queued for 3 seconds from now, and then go by the weights of
  /// the plan. Not before the first apply(). No transaction, and does not block. After an error the next apply() makes
  /// all of the table again.
  Status refresh();

  /// What there is under this name; nothing where there is none. An error where the table is another's.
  Result<std::optional<Left>> left() const;

  /// Deletes the table with all there is in it; success where there is none. Connections that it has forwarded must
  /// have ended: where no other table translates addresses the kernel no longer does so for them either.
  Status remove();

 private:
  Status applyWhole(const Contents& contents);
  Status applyQueue(std::uint16_t queue);
  std::string probeName() const { return name_ + "_probe"; }

  const std::string name_;
  std::optional<QueueBy> queue_by_;     ///< once it is known
  std::optional<Contents> applied_;     ///< none: the next is whole
  std::optional<std::uint16_t> queue_;  ///< of the rule that is no part of the contents
  std::uint16_t tag_ = 0;               ///< of what was applied
  bool ipv4_ = false;                   ///< has addresses to listen on
  bool ipv6_ = false;
};

}  // namespace lemonade::kernel
