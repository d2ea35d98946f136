// SPDX-License-Identifier: MIT
//
// The names of backends: hosts, and services ("srv:_http._tcp.example.com"). All are asked for at once, on a thread of
// their own that never waits for any of them, so a name server that is silent delays its own names only. A name that is
// asked for again while it is not answered is asked for once.
//
// Control thread.
#pragma once

#include "balance/dns_channel.h"
#include "balance/resolution.h"

#include <functional>
#include <memory>
#include <string>

namespace lemonade {

class ControlLoop;

class Resolver {
 public:
  using Callback = std::function<void(const Resolution&)>;

  /// loop must outlive the resolver. A test gives servers of its own, or overrides resolve().
  explicit Resolver(ControlLoop& loop, NameServers servers = {});
  /// Drops what is not answered yet. Also where the loop has stopped.
  virtual ~Resolver();

  /// Calls answered(...) once on the control thread: before this returns where name is numeric, else later, within some
  /// seconds for each name server.
  virtual void resolve(const std::string& name, Callback answered);

 private:
  struct Shared;
  class Lookups;

  void begin();

  ControlLoop& loop_;
  const NameServers servers_;
  std::shared_ptr<Shared> shared_;      // with the answers on their way
  std::unique_ptr<ControlLoop> names_;  // the thread of the names; null until there is one to ask for
  std::unique_ptr<Lookups> lookups_;    // there
};

}  // namespace lemonade
