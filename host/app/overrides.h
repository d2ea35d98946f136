// SPDX-License-Identifier: MIT
//
// What operators have changed of the backends of one pool while it runs, and when each of that ends: after the time it
// was made for, or with the next reload of the file. A backend that leaves because its name leads elsewhere, and comes
// back, has its overrides again; one that the configuration has no more has none.
//
// Nothing is published here: who changes something does that, and for what ends by itself on_end() does. Control
// thread.
#pragma once

#include "balance/override.h"
#include "balance/view.h"
#include "base/control_loop.h"
#include "upgrade/handover.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace lemonade::app {

/// An override that is over.
struct EndedOverride {
  enum class Why {
    kOver,       ///< its time has passed
    kTakenBack,  ///< by an operator
    kReload,     ///< a reload of the file was applied
    kGone,       ///< the configuration has no such backend any more
  };

  std::string pool;
  std::string backend;  ///< its id
  std::string address;
  Override was;
  Why why = Why::kOver;
};

class Overrides {
 public:
  using OnEnd = std::function<void(const EndedOverride&)>;

  /// on_end hears of each that ends, when its backend is as before already; over after those of a moment that ended
  /// because their time has passed.
  Overrides(ControlLoop& loop, std::string pool, OnEnd on_end, std::function<void()> over);
  ~Overrides() { stop(); }
  Overrides(const Overrides&) = delete;
  Overrides& operator=(const Overrides&) = delete;

  /// Makes it, in the place of what it replaces. lasting 0: until endWithReload(). Returns it with its times.
  Override make(const std::shared_ptr<Backend>& backend, Override wanted, Duration lasting);
  /// Ends all of a backend; returns how many there were.
  std::size_t takeBack(const Backend& backend);
  /// Ends those that last until the next reload of the file.
  void endWithReload();
  /// Ends those of backends with another id than these.
  void keepOnly(const std::set<std::string>& ids);
  /// These backends are those of the pool from now on.
  void apply(const View::Backends& backends);

  /// What the process before had of this pool; before the first apply(). Those whose time has passed meanwhile are left
  /// out.
  void inherit(const std::vector<OverrideState>& states);
  void tell(std::vector<OverrideState>& states) const;

  /// Lets go of all, without a word. Again: does nothing.
  void stop();

 private:
  struct One {
    Override made;
    std::uint64_t until_ns = 0;  // of the loop's clock; 0: with a reload
    ControlLoop::TimerId timer = 0;
  };
  struct Held {
    std::string id;
    std::string address;
    std::weak_ptr<Backend> backend;
    std::vector<One> ones;
  };

  template <class Which>
  std::size_t end(EndedOverride::Why why, Which which);
  void startTimer(One& one);
  void endOver();
  static void show(const Held& held);

  ControlLoop& loop_;
  const std::string pool_;
  const OnEnd on_end_;
  const std::function<void()> over_;
  std::map<std::uint64_t, Held> held_;  // by identity; none is without an override
};

}  // namespace lemonade::app
