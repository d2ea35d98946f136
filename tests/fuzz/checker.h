// SPDX-License-Identifier: MIT
//
// Drives a health checker through the C table its source defines, as the host does: options by name, then one check
// whose answer comes in pieces, and the same answer in one piece. Whatever a checker finds, the split must not matter.
#pragma once

#include "target.h"

#include <lemonade/health_checker.h>

#include <map>
#include <string>

namespace lemonade::fuzz {

/// What a check came to.
struct Finding {
  std::uint32_t what = LEMONADE_VERDICT_WAIT;
  std::string reason;

  friend bool operator==(const Finding&, const Finding&) = default;
};

/// One instance of the checker behind a plugin's entry.
class Checker {
 public:
  /// Options that are not given have the default of the schema; all are texts. Refused options leave it not ok().
  Checker(const lemonade_plugin_t& plugin, const std::map<std::string, std::string, std::less<>>& options);
  ~Checker();
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;

  bool ok() const { return self_ != nullptr; }
  /// A backend that answers `bytes` in pieces of `sizes` (see inPieces) and then closes.
  Finding check(std::string_view bytes, std::string_view sizes) const;

 private:
  const lemonade_health_checker_t* table_;
  lemonade_host_t host_{};
  void* self_ = nullptr;
};

}  // namespace lemonade::fuzz
