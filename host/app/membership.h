// SPDX-License-Identifier: MIT
//
// Which backends there are: turns what is configured into running backends, one for each address of each name, and
// keeps asking the names. A backend whose id and address stay is the same object, with all it knows. Control thread
// only.
#pragma once

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

  /// on_change gets the whole set whenever it differs; a backend that comes back while it drains is the same object
  /// again. All references must outlive this.
  Membership(ControlLoop& loop, Resolver& resolver, const Pool& pool, OnChange on_change);
  ~Membership() { stop(); }

  /// Asks no more names; answers that still come are dropped.
  void stop();

  /// Takes over a configuration and what its names came to; calls on_change before it returns. Names are asked again
  /// every resolve_interval, and each second while one of them has never had an address.
  void configure(std::vector<config::Backend> configured, const Resolutions& resolutions, Duration resolve_interval);

  const View::Backends& backends() const noexcept { return backends_; }

 private:
  /// A host name that backends are configured with.
  struct Name {
    std::vector<Address> addresses;  // the last good ones; none where it never resolved
    bool asked = false;              // and not answered yet
    bool failing = false;            // since its last good answer, and logged
  };
  /// What a backend is known by: its identity, and whether it has an address.
  using Key = std::pair<std::uint64_t, bool>;

  void rebuild();
  void append(View::Backends& backends, const std::map<Key, std::shared_ptr<Backend>>& known,
              const config::Backend& configured, const Address& address) const;
  void askSoon();
  void askAgain();
  void answered(const std::string& host, const Resolution& resolution);

  ControlLoop& loop_;
  Resolver& resolver_;
  const Pool& pool_;  // how many workers a backend counts for
  const OnChange on_change_;
  std::vector<config::Backend> configured_;
  std::map<std::string, Name> names_;  // of configured_, those that are numbers included
  Duration resolve_interval_{};
  View::Backends backends_;
  std::vector<std::weak_ptr<Backend>> left_;  // those that may still have sessions
  ControlLoop::TimerId timer_ = 0;
  std::shared_ptr<Membership*> self_;  // emptied when this ends: answers may come later
};

}  // namespace lemonade::app
