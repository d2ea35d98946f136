// SPDX-License-Identifier: MIT
#include "watch/looker.h"

#include <algorithm>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace lemonade {

namespace {

constexpr unsigned kMostHanging = 64;  // threads that are asked for by people
constexpr unsigned kMostDoublings = 12;

/// What asker and looking thread share about one look; guarded by the mutex of both.
struct Progress {
  bool ended = false;
  bool abandoned = false;
};

}  // namespace

bool Looker::look(Look look, Duration limit) {
  const auto progress = std::make_shared<Progress>();
  std::unique_lock lock(shared_->mutex);
  if (shared_->stopping || shared_->hanging >= kMostHanging) return false;
  try {
    std::thread([shared = shared_, progress, look = std::move(look)] {
      try {
        look();
      } catch (...) {
        // For want of memory: then there was nothing to see.
      }
      const std::lock_guard ended(shared->mutex);
      progress->ended = true;
      if (progress->abandoned) --shared->hanging;
      shared->changed.notify_all();
    }).detach();
  } catch (const std::system_error&) {
    throw std::runtime_error(
        "no thread can be made to look at files; raise what limits memory and threads (ulimit -a)");
  }
  const auto& shared = *shared_;
  (void)shared_->changed.wait_for(lock, limit, [&] { return progress->ended || shared.stopping; });
  if (progress->ended) {
    rest_until_ns_ = 0;
    return true;
  }
  progress->abandoned = true;
  ++shared_->hanging;
  const auto rest = limit * (1U << std::min(shared_->hanging, kMostDoublings));
  rest_until_ns_ = nowNs() + static_cast<std::uint64_t>(rest.count());
  return false;
}

bool Looker::resting() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->hanging != 0 && nowNs() < rest_until_ns_;
}

void Looker::stop() {
  const std::lock_guard lock(shared_->mutex);
  shared_->stopping = true;
  shared_->changed.notify_all();
}

}  // namespace lemonade
