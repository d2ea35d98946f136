// SPDX-License-Identifier: MIT
//
// The shadow of one pool (balance/shadow.h) over its life: it comes with a configuration, is compared with the strategy
// that decides, and goes when it has failed, without a word from the pool. Control thread only, but for what is marked
// "any thread".
#pragma once

#include "balance/strategy.h"
#include "base/result.h"
#include "observe/comparison.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace lemonade {
class Pool;
}  // namespace lemonade

namespace lemonade::app {

class Shadowing {
 public:
  /// The pool must outlive it.
  explicit Shadowing(Pool& pool) : pool_(pool) {}

  /// Makes lanes for a prepared one, and has it import what the shadow that runs has learned, else what the strategy
  /// has. Without a prepared one this returns the one that runs.
  Result<std::shared_ptr<Strategy>> make(std::optional<Strategy::Instance> prepared);
  /// The pool has this shadow from its next view on; null: none, be it that none is configured or that it is kept out.
  void use(std::shared_ptr<Strategy> shadow, bool configured);
  /// A call of this instance was broken off, or its content is not to be used any more. True where it was the shadow,
  /// which the pool's next view is without.
  bool drop(const plugin::InstanceInfo& broken);
  /// A view was published: compares those two that run since.
  void begin();
  /// Weighs what has come since the last look. To be called a few times a second.
  void look();
  /// No worker runs any more.
  void end();

  /// Null where there is none.
  const Strategy* running() const noexcept;
  /// The hash of the content that was dropped; "": none.
  const std::string& lost() const noexcept { return lost_hash_; }

  /// Nothing where there is none. Any thread.
  std::optional<ShadowStatus> status() const;

 private:
  Pool& pool_;
  std::string lost_hash_;
  mutable std::mutex mutex_;                // guards the pointer that follows, which the control thread changes
  std::shared_ptr<Comparison> comparison_;  // null: there is none
};

}  // namespace lemonade::app
