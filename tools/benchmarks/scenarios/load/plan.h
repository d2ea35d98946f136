// SPDX-License-Identifier: MIT
//
// What the clients will do, drawn before the start: who arrives when, from which address and with how much work. It
// depends on the seed alone, so that every contender meets the same clients with the same work.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace lemonade::bench {

struct LoadOptions {
  double seconds = 15;
  double rate = 1000;         ///< requests a second
  double work_ms = 5;         ///< mean work of a request at a healthy backend
  double work_shape = 1;      ///< of its gamma distribution: 1 is exponential, more is less spread (1 / sqrt of it)
  double work_variation = 0;  ///< above 0: lognormal, with this coefficient of variation, instead
  double crowd_from = 0;      ///< seconds: from here
  double crowd_to = 0;        ///< to here
  double crowd_factor = 1;    ///< so many times the rate
  double session_rate = 0;    ///< long sessions a second
  double session_length = 5;  ///< mean seconds of a session, exponentially distributed
  double busy_share = 0.25;   ///< of the sessions; these send often, the others seldom
  double busy_gap_ms = 20;    ///< mean time between an answer and the next request of a busy session
  double quiet_gap_ms = 500;  ///< the same of the others
  std::uint64_t session_requests = 0;  ///< above 0: a session ends after so many answers, whatever its length
  std::uint64_t seed = 1;
};

/// How much work requests are.
class Work {
 public:
  explicit Work(const LoadOptions& options) : shape_(options.work_shape), variation_(options.work_variation) {}
  /// Nanoseconds, drawn around that mean.
  double draw(std::mt19937_64& random, double mean_ns) const;

 private:
  double shape_, variation_;
};

/// One client. Times are nanoseconds after the start.
struct Arrival {
  std::uint64_t due = 0;
  std::uint32_t address = 0;   ///< of the client, 0 to kAddresses - 1
  double work_ns = 0;          ///< of its request; of a session the mean
  std::uint64_t length = 0;    ///< of a session; 0 means one request
  double gap_ns = 0;           ///< mean between the requests of a session
  std::uint64_t requests = 0;  ///< a session ends after so many answers; 0: its length decides alone
};

inline constexpr std::uint32_t kAddresses = 1000;

/// Poisson arrivals of requests and of sessions, merged in the order of time.
std::vector<Arrival> makePlan(const LoadOptions& options);

}  // namespace lemonade::bench
