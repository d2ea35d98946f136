// SPDX-License-Identifier: MIT
//
// A real Redis server that keeps nothing, on a port of its own, or on that of one before it.
#pragma once

#include "support/balancer.h"
#include "support/process.h"
#include "support/socket.h"

#include <string>
#include <utility>

namespace lemonade::test {

/// A port that was free a moment ago.
inline std::string freePort() { return std::to_string(portOf(localAddressOf(bindTo("127.0.0.1:0").get()))); }

class Redis {
 public:
  explicit Redis(std::string port = freePort())
      : port_(std::move(port)),
        process_({"redis-server", "--port", port_, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir",
                  folder_.path().string()}) {
    if (!eventually([&] { return cli({"ping"}) == "PONG\n"; })) throw TimeoutError("redis-server did not start");
  }

  std::string address() const { return "127.0.0.1:" + port_; }
  const std::string& port() const { return port_; }
  Process& process() { return process_; }
  /// What redis-cli prints for a command.
  std::string cli(Arguments arguments) {
    arguments.insert(arguments.begin(), {"redis-cli", "-p", port_});
    return run(arguments).out;
  }

 private:
  TemporaryFolder folder_;
  std::string port_;
  Process process_;
};

}  // namespace lemonade::test
