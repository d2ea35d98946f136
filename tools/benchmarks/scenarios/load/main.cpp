// SPDX-License-Identifier: MIT
//
// The load of the scenarios: sends one plan of clients to one port of 127.0.0.1 and prints what they saw as one line of
// JSON.
#include "scenarios/load/clients.h"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <iostream>
#include <utility>
#include <vector>

int main(int argc, char** argv) {
  using namespace lemonade::bench;
  CLI::App app("Open-loop clients of 127.0.0.1, each with a connection of its own. Prints one line of JSON.");
  LoadOptions options;
  std::vector<std::uint16_t> ports;
  std::uint64_t start = 0;
  double limit = 3;
  std::size_t backends = 8;
  app.add_option("--port", ports, "where to connect; may be repeated")->required()->allow_extra_args(false);
  app.add_option("--start", start, "nanoseconds of the monotonic clock")->required();
  app.add_option("--seconds", options.seconds, "how long clients arrive");
  app.add_option("--rate", options.rate, "requests a second");
  app.add_option("--work", options.work_ms, "mean work of a request, ms");
  app.add_option("--work-shape", options.work_shape,
                 "of its gamma distribution: 1 is exponential, more is less spread");
  app.add_option("--work-variation", options.work_variation,
                 "coefficient of variation of work that is lognormal instead");
  app.add_option("--limit", limit, "seconds after which a client gives up");
  app.add_option("--backends", backends, "how many may answer");
  app.add_option("--seed", options.seed, "of the arrivals and their work");
  app.add_option("--crowd-from", options.crowd_from, "seconds: a crowd comes");
  app.add_option("--crowd-to", options.crowd_to, "seconds: and goes");
  app.add_option("--crowd-factor", options.crowd_factor, "times the rate");
  app.add_option("--session-rate", options.session_rate, "long sessions a second");
  app.add_option("--session-length", options.session_length, "their mean length, seconds");
  app.add_option("--busy-share", options.busy_share, "the share of them that sends often");
  app.add_option("--busy-gap", options.busy_gap_ms, "mean ms between an answer and the next request of these");
  app.add_option("--quiet-gap", options.quiet_gap_ms, "the same of the other sessions");
  app.add_option("--session-requests", options.session_requests, "answers after which a session ends");
  CLI11_PARSE(app, argc, argv);

  std::vector<sockaddr_in> targets;
  for (const auto port : ports) {
    auto& target = targets.emplace_back();
    target.sin_family = AF_INET;
    target.sin_port = htons(port);
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  }
  try {
    const auto plan = makePlan(options);
    Clients clients(plan, Work(options), std::move(targets), static_cast<std::uint64_t>(limit * kSecond), backends);
    clients.run(start);
    std::cout << "{\"lateness_ms\":" << clients.latenessMs() << ",\"requests\":";
    clients.requests().write(std::cout);
    std::cout << ",\"sessions\":";
    clients.sessions().write(std::cout);
    std::cout << "}" << std::endl;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
  return 0;
}
