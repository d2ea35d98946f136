// SPDX-License-Identifier: MIT
#include "base/clock.h"

namespace lemonade {
namespace {

class SteadyClock final : public Clock {
 public:
  std::uint64_t nowNs() const noexcept override { return lemonade::nowNs(); }
};

}  // namespace

const Clock& Clock::steady() noexcept {
  static const SteadyClock clock;
  return clock;
}

}  // namespace lemonade
