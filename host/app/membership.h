// SPDX-License-Identifier: MIT
//
// Which backends there are: turns what is configured into running backends, one for each address of each name, and
// keeps asking for the names. A backend whose id and address stay is the same object, with all it knows. Control thread
// only.
#pragma once

#include "app/endpoints.h"
#include "app/preparation.h"
#include "balance/pool.h"
#include "balance/resolver.h"
#include "balance/view.h"
#include "base/control_loop.h"
#include "config/config.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::app {

class Membership {
 public:
  using OnChange = std::function<void(const View::Backends&)>;

  /// on_change gets the whole set whenever it differs; a backend that comes back while it
  /// drains is the same object again. All references must outlive this.
  Membership(ControlLoop& loop, Resolver& resolver, const Pool& pool, OnChange on_change);
  ~Membership() { stop(); }

  /// Asks for no more names; answers that still come are dropped.
  void stop();

  /// Takes over a configuration and what its new names came to, as far as that is known; calls on_change before it
  /// returns. Names that stay keep what they led to. All that have no news in resolutions are asked for at once; then
  /// each every resolve_interval, and every second while it leads nowhere.
  void configure(std::vector<config::Backend> configured, const Resolutions& resolutions, Duration resolve_interval);

  const View::Backends& backends() const noexcept { return backends_; }
  /// What each configured name leads to, numeric ones included: nothing where it never resolved.
  KnownNames names() const;

 private:
  /// A name that backends are configured with.
  struct Name {
    std::vector<Target> targets{};  // the last good ones; none where it never resolved
    std::uint64_t due_ns = 0;       // when it is asked for next, or its answer counts as lost
    std::uint64_t asked_ns = 0;     // the last time
    bool failing = false;           // since its last good answer, and logged
    bool left_out = false;          // something of its last answer, and logged
  };
  /// What a backend is known by: its identity, and whether it has an address.
  using Key = std::pair<std::uint64_t, bool>;

  void rebuild();
  void rebuildSoon();
  void append(View::Backends& backends, const std::map<Key, std::shared_ptr<Backend>>& known,
              const Endpoint& endpoint) const;
  std::uint64_t intervalOf(const Name& name) const;
  void askDue();
  void wakeAt(std::uint64_t due_ns);
  void answered(const std::string& host, const Resolution& resolution);
  // What becomes of a name by an answer; true where it leads elsewhere now.
  static bool learn(const std::string& host, Name& name, const Resolution& resolution);
  static bool fail(const std::string& host, Name& name, const std::string& why);

  ControlLoop& loop_;
  Resolver& resolver_;
  const Pool& pool_;  // its name, and how many workers a backend counts for
  const OnChange on_change_;
  std::vector<config::Backend> configured_;
  std::map<std::string, Name> names_;  // of configured_, those that are numbers included
  Duration resolve_interval_{};
  View::Backends backends_;
  std::vector<std::weak_ptr<Backend>> left_;  // those that may still have sessions
  ControlLoop::TimerId timer_ = 0;
  std::uint64_t timer_due_ns_ = 0;
  bool rebuilding_ = false;            // a rebuild is posted
  std::shared_ptr<Membership*> self_;  // emptied when this ends: answers may come later
};

}  // namespace lemonade::app
