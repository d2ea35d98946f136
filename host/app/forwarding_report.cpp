// SPDX-License-Identifier: MIT
#include "app/forwarding_report.h"

#include "kernel/heartbeat.h"

#include <utility>

namespace lemonade::app {

bool ForwardingReport::Now::asks(std::uint64_t now_ns) const noexcept {
  return heard_ns != 0 && now_ns - heard_ns < kernel::kHeartbeatLastsNs;
}

void ForwardingReport::begin(std::string table, std::uint16_t queue, std::uint16_t tag) {
  const std::lock_guard lock(mutex_);
  now_ = Now{std::move(table), queue, tag, false, 0};
}

void ForwardingReport::noteTable(bool up_to_date) {
  const std::lock_guard lock(mutex_);
  if (now_) now_->up_to_date = up_to_date;
}

void ForwardingReport::noteHeard(std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  if (now_) now_->heard_ns = now_ns;
}

void ForwardingReport::end() {
  const std::lock_guard lock(mutex_);
  now_.reset();
}

std::optional<ForwardingReport::Now> ForwardingReport::now() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

}  // namespace lemonade::app
