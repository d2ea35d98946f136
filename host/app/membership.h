// SPDX-License-Identifier: MIT
//
// Which backends there are: turns what is configured into running backends, one for each address of each name, and keeps
// asking the names. A backend whose id and address stay is the same object, with all it knows. Control thread only.
#pragma once

#include "app/preparation.h"
#include "balance/pool.h"
#include "balance/resolver.h"
#include "balance/view.h"
#include "base/control_loop.h"
#include "config/config.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace lemonade::app {

class Membership {
 public:
  using OnChange = std::function<void(const View::Backends&)>;

  /// on_change gets the whole set whenever it differs; a backend that comes back while it drains is the same object again.
  /// All references must outlive this.
  Membership(ControlLoop& loop, Resolver& resolver, const Pool& pool, OnChange on_change);
  ~Membership() { stop(); }

  /// Asks no more names; answers that still come are dropped.
  void stop();

  /// Takes over a configuration and what its names came to; calls on_change before it returns.
  void configure(std::vector<config::Backend> configured, const Resolutions& resolutions);

  const View::Backends& backends() const noexcept { return backends_; }

 private:
  void rebuild();
  std::shared_ptr<Backend> known(const Backend& fresh) const;
  void append(View::Backends& backends, const config::Backend& configured, const Address& address);
  void askAgain();
  void answered(const std::string& host, const Resolution& resolution);

  ControlLoop& loop_;
  Resolver& resolver_;
  const Pool& pool_;  // how many workers a backend counts for
  const OnChange on_change_;
  std::vector<config::Backend> configured_;
  std::map<std::string, std::vector<Address>> addresses_;  // last good ones, by host
  View::Backends backends_;
  std::vector<std::weak_ptr<Backend>> left_;  // those that may still have sessions
  ControlLoop::TimerId timer_ = 0;
  std::shared_ptr<Membership*> self_;  // emptied when this ends: answers may come later
};

}  // namespace lemonade::app
