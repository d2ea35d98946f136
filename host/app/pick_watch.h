// SPDX-License-Identifier: MIT
//
// The last picks of one pool, for an operator who looks: for some seconds they are written down, and for a while after
// that they can be read. Control thread only, but for what is marked "any thread".
#pragma once

#include "balance/pick_recorder.h"
#include "base/clock.h"
#include "base/control_loop.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace lemonade {
class Pool;
}  // namespace lemonade

namespace lemonade::app {

class PickWatch {
 public:
  /// loop and pool must outlive it.
  PickWatch(ControlLoop& loop, Pool& pool) : loop_(loop), pool_(pool) {}
  /// After end().
  ~PickWatch() = default;
  PickWatch(const PickWatch&) = delete;
  PickWatch& operator=(const PickWatch&) = delete;

  /// Writes picks down from now on, for so long; what was written down before is forgotten.
  void begin(Duration lasting);
  /// Ends that, and forgets it.
  void end();

  struct Seen {
    std::string strategy;  ///< its id, as it was when that began
    bool recording = false;
    std::uint64_t until_unix_ns = 0;  ///< 0: nobody has looked of late
    std::vector<PickRecord> records;  ///< the eldest first
  };
  /// Any thread.
  Seen seen() const;

 private:
  void stop();

  ControlLoop& loop_;
  Pool& pool_;
  ControlLoop::TimerId timer_ = 0;  // the end of writing, then of keeping
  mutable std::mutex mutex_;        // guards what follows
  std::shared_ptr<PickRecorder> recorder_;
  std::string strategy_;
  std::uint64_t until_unix_ns_ = 0;
  bool recording_ = false;
};

}  // namespace lemonade::app
