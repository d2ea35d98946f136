// SPDX-License-Identifier: MIT
//
// Host names to addresses. getaddrinfo blocks for as long as it likes, so it runs on a few threads of its own: one name
// holds at most one of them however often it is asked for, and one that hangs holds up neither the others nor a stop.
//
// Control thread, but for resolveNow().
#pragma once

#include "balance/address.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lemonade {

class ControlLoop;

/// What a name came to.
struct Resolution {
  enum class Outcome {
    kFound,
    kNotFound,   ///< the name has no address
    kTemporary,  ///< nothing was learnt, such as after SERVFAIL: keep what was known and ask again
  };

  Outcome outcome = Outcome::kNotFound;
  std::vector<Address> addresses;  ///< of kFound: at least one, each once, sorted, so that equal sets compare equal
  std::string error;               ///< otherwise: one sentence that names the host

  bool ok() const noexcept { return outcome == Outcome::kFound; }
};

class Resolver {
 public:
  using Callback = std::function<void(const Resolution&)>;
  /// Resolves a name that is not numeric; the port of its addresses does not matter. Called on threads of the resolver,
  /// several at once, so it must be safe to call when the resolver is gone.
  using Lookup = std::function<Resolution(const std::string& host)>;

  /// loop must outlive the resolver. A test gives a lookup of its own.
  explicit Resolver(ControlLoop& loop);
  Resolver(ControlLoop& loop, Lookup lookup, std::size_t max_threads);
  /// Drops what is not answered yet. Returns at once even where a lookup hangs. Also where the loop has stopped.
  ~Resolver();

  /// Calls answered(...) once on the control thread: before this returns where host is numeric, else later.
  void resolve(const std::string& host, std::uint16_t port, Callback answered);

  /// The same for a caller that can wait. Any thread.
  static Resolution resolveNow(const std::string& host, std::uint16_t port);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace lemonade
