// SPDX-License-Identifier: MIT
//
// What a request asks to be done with a backend: read, and the backend found that it means. Pure functions; any thread.
#pragma once

#include "admin/message.h"
#include "balance/override.h"
#include "balance/view.h"
#include "base/clock.h"

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace lemonade::app {

struct Order {
  std::string pool;
  std::string backend;             ///< an id, a name or an address
  std::optional<Override> wanted;  ///< nothing: "enable" takes back what is overridden
  Duration lasting{};              ///< 0: until the next reload of the file
  bool persist = false;            ///< the line for the file is asked for
};

/// The path is /api/v1/pools/POOL/backends/BACKEND/ACTION. Otherwise, and where a parameter is not what it takes, the
/// answer that says so.
std::variant<Order, admin::Response> orderIn(const admin::Request& request);

/// The one that is called so: by its id, else by its name, else by its address. Otherwise the answer: 404 with a name
/// that is near, or 409 with those that are called so.
std::variant<std::shared_ptr<Backend>, admin::Response> backendCalled(const std::string& called,
                                                                      const View::Backends& backends,
                                                                      const std::string& pool);

/// What to write into the file for it to last, such as "weight = 5".
std::string lineOf(const Order& order);

/// An answer of 404: there is no such thing, and what may have been meant.
admin::Response unknown(const std::string& what, const std::string& called, const std::vector<std::string>& known,
                        const std::string& where = "");

}  // namespace lemonade::app
