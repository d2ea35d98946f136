// SPDX-License-Identifier: MIT
//
// Posts JSON to one URL by libcurl, over a connection that is kept. One thread, but for the constructor.
#pragma once

#include "pairs.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace lemonade::otlp {

/// What became of a request.
struct Answer {
  long status = 0;   ///< of HTTP; 0: there is no answer, and `problem` says why
  std::string body;  ///< at most 64 KiB of it
  std::optional<std::chrono::seconds> retry_after;
  std::string problem;
};

/// Where requests go and how.
struct Target {
  std::string url;      ///< of http or https
  Pairs headers;        ///< beside those that the format demands
  std::string ca_file;  ///< "": the system's certificates
  bool gzip = false;
};

/// The URL as it is asked: with the path /v1/metrics where it has none. Throws std::invalid_argument where it is no URL
/// of http or https, or has a password in it.
std::string checkedUrl(const std::string& url);

class HttpClient {
 public:
  /// Throws std::invalid_argument for headers that HTTP does not have. Does not connect.
  explicit HttpClient(Target target);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// One request; the answer or the problem is there within `wait`, the look-up of a name and TLS included.
  Answer post(const std::string& json, std::chrono::nanoseconds wait);

 private:
  struct Handles;
  const Target target_;
  const std::unique_ptr<Handles> handles_;
};

}  // namespace lemonade::otlp
