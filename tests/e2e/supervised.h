// SPDX-License-Identifier: MIT
//
// A balancer with its supervisor.
#pragma once

#include "support/balancer.h"

#include <signal.h>

#include <catch2/catch.hpp>

#include <fstream>
#include <string>

namespace lemonade::test {

/// The variable that turns the supervisor off for other tests, unset.
inline const Environment kSupervised{{"LEMONADE_LB_SUPERVISOR", ""}};

inline Config supervised() { return Config().set("runtime.supervisor", "on"); }

/// The process that serves, and knows its supervisor.
inline pid_t servingPid(Balancer& balancer) { return balancer.status()->getValue<int>("pid"); }

/// Waits until another process than before serves, and its supervisor knows; which one.
inline pid_t awaitOther(Balancer& balancer, pid_t before) {
  pid_t now = before;
  REQUIRE(eventually([&] {
    try {
      now = servingPid(balancer);
      return now != before && balancer.admin("/readyz").body.find("starting") == std::string::npos;
    } catch (const std::exception&) {
      return false;  // it has just died
    }
  }));
  return now;
}

inline bool isAlive(pid_t pid) { return ::kill(pid, 0) == 0; }

/// Nobody listens there, nor does anybody hold the socket, so that a client would wait.
inline bool isRefused(const std::string& address) {
  try {
    (void)Socket::connect(address);
    return false;
  } catch (const ResetError&) {
    return true;
  }
}

/// A client of an echo that has been served once.
inline Socket servedOnce(Balancer& balancer) {
  Socket client = balancer.connect();
  client.send("one");
  REQUIRE(client.receive(3) == "one");
  return client;
}

/// Upgrades once and waits until the next process serves; which one.
inline pid_t upgrade(Balancer& balancer) {
  const pid_t before = servingPid(balancer);
  balancer.process().signal(SIGUSR2);
  return awaitOther(balancer, before);
}

}  // namespace lemonade::test
