// SPDX-License-Identifier: MIT
//
// The target of a request line: "/path?query", or "http://host:port/path?query" as proxies are asked. Stateless.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace lemonade::admin {

struct Target {
  std::optional<std::string> authority = {};  ///< "host:port" where the target has one
  std::string path = {};                      ///< decoded
  std::string query = {};                     ///< as sent, without the question mark
};

/// Nothing where the text is neither form, as in CONNECT and OPTIONS *, or is encoded wrongly.
std::optional<Target> parseTarget(std::string_view text);

/// The parameters of a query, decoded; of one that is there twice the last. Nothing where it is encoded wrongly.
std::optional<std::map<std::string, std::string>> parseQuery(const std::string& query);

}  // namespace lemonade::admin
