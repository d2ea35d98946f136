// SPDX-License-Identifier: MIT
#include "app/endpoints.h"

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace lemonade::app;

namespace {

using Texts = std::vector<std::string>;

std::vector<Address> addresses(const Texts& texts) {
  std::vector<Address> all;
  for (const auto& text : texts) all.push_back(*Address::parse(text, 0));
  return all;
}

config::Backend backend(const std::string& host, std::uint16_t port) {
  config::Backend one;
  one.id = "app";
  one.host = host;
  one.port = port;
  one.max_connections = 9;
  return one;
}

/// "address host priority/weight" of each.
Texts shown(const config::Backend& configured, const std::vector<Target>& targets) {
  Texts texts;
  for (const auto& one : endpoints(configured, targets)) {
    CHECK(one.configured.id == configured.id);
    CHECK(one.configured.max_connections == configured.max_connections);
    texts.push_back(one.address.text() + " " + one.configured.host + " " + std::to_string(one.configured.priority) +
                    "/" + std::to_string(one.configured.weight));
  }
  return texts;
}

}  // namespace

TEST_CASE("A name comes to one backend for each address, or to one without", "[app][names]") {
  auto web = backend("web", 80);
  web.weight = 3;
  web.priority = 2;
  CHECK(shown(web, {{"web", 0, 0, 0, addresses({"10.0.0.1", "10.0.0.2"})}}) ==
        Texts{"10.0.0.1:80 web 2/3", "10.0.0.2:80 web 2/3"});
  CHECK(shown(web, {}) == Texts{" web 2/3"});
}

TEST_CASE("A service comes to the hosts, ports, priorities and weights of its records", "[app][names]") {
  const std::vector<Target> targets = {{"a", 80, 1, 5, addresses({"10.0.0.1", "::1"})},
                                       {"b", 81, 2, 0, addresses({"10.0.0.1"})},
                                       {"c", 82, 300, 65'535, {}}};
  auto web = backend("srv:_http._tcp.web", 0);
  CHECK(shown(web, targets) == Texts{"10.0.0.1:80 a 1/5", "[::1]:80 a 1/5", "10.0.0.1:81 b 2/1", " c 300/65535"});
  web.weight = 2;
  web.priority = 10;
  CHECK(shown(web, targets) == Texts{"10.0.0.1:80 a 11/10", "[::1]:80 a 11/10", "10.0.0.1:81 b 12/2", " c 310/65535"});
  web.weight = 0;
  CHECK(shown(web, targets).at(0) == "10.0.0.1:80 a 11/0");
  CHECK(shown(web, {}) == Texts{" srv:_http._tcp.web 10/0"});
}

TEST_CASE("Two hosts of a service that are one machine come to one backend", "[app][names]") {
  CHECK(shown(backend("srv:_http._tcp.web", 0),
              {{"a", 80, 1, 5, addresses({"10.0.0.1"})}, {"b", 80, 2, 7, addresses({"10.0.0.1", "10.0.0.2"})}}) ==
        Texts{"10.0.0.1:80 a 1/5", "10.0.0.2:80 b 2/7"});
}

TEST_CASE("An answer that says nothing of a family or of a host keeps what was known of it", "[app][names]") {
  const std::vector<Target> known = {{"a", 80, 1, 1, addresses({"10.0.0.1", "::1"})},
                                     {"b", 80, 1, 1, addresses({"10.0.0.2"})}};
  const auto now =
      updated(known, {{"a", 80, 2, 3, addresses({"10.0.0.7"}), {AF_INET6}}, {"b", 80, 1, 1, {}, {AF_INET, AF_INET6}}});
  CHECK(now ==
        std::vector<Target>{{"a", 80, 2, 3, addresses({"10.0.0.7", "::1"})}, {"b", 80, 1, 1, addresses({"10.0.0.2"})}});
  CHECK(updated(known, {{"a", 80, 1, 1, addresses({"10.0.0.7"})}}) ==
        std::vector<Target>{{"a", 80, 1, 1, addresses({"10.0.0.7"})}});
  CHECK(updated({}, {{"c", 80, 1, 1, {}, {AF_INET, AF_INET6}}}) == std::vector<Target>{{"c", 80, 1, 1, {}}});
}

TEST_CASE("What names lead to is shown in a line that is never long", "[app][names]") {
  CHECK(textOf({}).empty());
  CHECK(textOf({{"web", 0, 0, 0, addresses({"10.0.0.1", "::1"})}}) == "10.0.0.1,[::1]");
  CHECK(textOf({{"a", 80, 10, 5, addresses({"10.0.0.1"})}, {"b", 81, 20, 0, {}}}) ==
        "a:80 10.0.0.1 priority 10 weight 5; b:81 unresolved priority 20 weight 0");
  Target many{"web"};
  for (int i = 0; i < 100; ++i) many.addresses.push_back(*Address::parse("10.0.0." + std::to_string(i), 0));
  CHECK_THAT(textOf({many}), Catch::EndsWith("10.0.0.15 and 84 more"));
}
