// SPDX-License-Identifier: MIT
//
// How forwarding by the kernel is, for who asks from other threads than the one that has it in hand.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

namespace lemonade::app {

class ForwardingReport {
 public:
  struct Now {
    std::string table{};
    std::uint16_t queue = 0;
    std::uint16_t tag = 0;
    bool up_to_date = false;
    std::uint64_t heard_ns = 0;  ///< when the table last heard that somebody answers; 0: it has to hear it anew

    /// The kernel asks, and does not go by the table's weights.
    bool asks(std::uint64_t now_ns) const noexcept;
  };

  // ---- control thread ----

  void begin(std::string table, std::uint16_t queue, std::uint16_t tag);
  void noteTable(bool up_to_date);
  /// 0: the table could not be told.
  void noteHeard(std::uint64_t now_ns);
  void end();

  // ---- any thread ----

  /// Nothing where the kernel does not forward for this process.
  std::optional<Now> now() const;

 private:
  mutable std::mutex mutex_;
  std::optional<Now> now_;  // guarded by mutex_
};

}  // namespace lemonade::app
