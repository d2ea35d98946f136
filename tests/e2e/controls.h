// SPDX-License-Identifier: MIT
//
// An operator's requests to the admin API, and what it says has happened.
#pragma once

#include "support/balancer.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace lemonade::test {

inline Poco::JSON::Object::Ptr parsedBody(const HttpAnswer& answer) {
  return Poco::JSON::Parser().parse(answer.body).extract<Poco::JSON::Object::Ptr>();
}

/// Orders something of a backend of the pool "default": "a/weight?value=5".
inline HttpAnswer order(Balancer& balancer, const std::string& what) {
  return httpGet(balancer.adminAddress(), "/api/v1/pools/default/backends/" + what, "POST");
}

/// The same where it has to succeed; the answer.
inline Poco::JSON::Object::Ptr ordered(Balancer& balancer, const std::string& what) {
  const auto answer = order(balancer, what);
  if (answer.status != 200) throw std::runtime_error(what + ": " + answer.body);
  return parsedBody(answer);
}

/// What status says is overridden of a backend.
inline Poco::JSON::Array::Ptr overridesOf(Balancer& balancer, const std::string& id) {
  return balancer.backend(id)->getArray("overrides");
}

inline Poco::JSON::Object::Ptr events(Balancer& balancer, const std::string& query) {
  return parsedBody(balancer.admin("/api/v1/events?" + query));
}

/// Those of a kind, of all that are there.
inline std::vector<Poco::JSON::Object::Ptr> eventsOf(Balancer& balancer, const std::string& kind) {
  const auto all = events(balancer, "after=0&limit=1000")->getArray("events");
  std::vector<Poco::JSON::Object::Ptr> found;
  for (unsigned i = 0; i < all->size(); ++i)
    if (const auto event = all->getObject(i); event->getValue<std::string>("kind") == kind) found.push_back(event);
  return found;
}

inline std::size_t countOf(Balancer& balancer, const std::string& kind) { return eventsOf(balancer, kind).size(); }

}  // namespace lemonade::test
