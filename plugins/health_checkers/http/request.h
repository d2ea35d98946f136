// SPDX-License-Identifier: MIT
//
// What the http checker sends: written once, but for the Host header where that follows the backend. A plain value.
#pragma once

#include <lemonade/health_checker.h>
#include <lemonade/sdk/plugin.hpp>

#include <string>

class Request {
 public:
  /// Reads the options method, path, host and headers. Throws sdk::OptionError with the mend.
  explicit Request(const lemonade::sdk::Options& options);

  /// The bytes to send to a backend. May throw std::bad_alloc.
  std::string text(const lemonade_probe_target_t& target) const;
  bool head() const noexcept { return head_; }

 private:
  std::string before_host_;  // up to "Host: "
  std::string host_;         // "" where it follows the backend
  std::string after_host_;
  bool head_;
};
