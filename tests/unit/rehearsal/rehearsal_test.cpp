// SPDX-License-Identifier: MIT
#include "rehearsal/rehearsal.h"

#include "config/backend_members.h"
#include "config/keys.h"
#include "rehearsal/preflight.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <type_traits>

using namespace lemonade;
using namespace lemonade;
using namespace std::chrono_literals;

namespace {

template <class Member>
bool same(const Member& a, const Member& b) {
  return a == b;
}
bool same(const config::OptionTable& a, const config::OptionTable& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.key == other.key && one.value == other.value;
  });
}

}  // namespace

TEST_CASE("A rehearsal is the same after it travelled as bytes", "[app]") {
  Rehearsal sent;
  sent.kind = LEMONADE_KIND_STRATEGY;
  sent.choice.id = "com.example.first";
  sent.choice.options = {{"flag", true, {}},
                         {"whole", std::int64_t{9'007'199'254'740'993}, {}},
                         {"real", 1.0, {}},
                         {"text", std::string("line \n quote \" é"), {}}};
  sent.file = "/plugins/first.so";
  sent.workers = 3;
  sent.panic_threshold = 0.3;
  config::Backend backend;
  backend.id = "a";
  backend.name = "name";
  backend.host = "web.example";
  backend.port = 8080;
  backend.weight = 7;
  backend.max_connections = 9;
  backend.enabled = false;
  backend.priority = 3;
  backend.zone = "a";
  backend.labels = {{"role", "primary"}, {"rack", ""}};
  backend.options = {{"share", 0.5, {}}, {"note", std::string("é"), {}}};
  sent.backends = {{backend, "10.0.0.1:8080"}, {backend, ""}};
  sent.state = Strategy::State{"com.example.first/1", std::string("zero \0 newline \n", 16)};

  const auto got = Rehearsal::decode(sent.encode());
  REQUIRE(got.ok());
  const auto& received = got.value();
  CHECK(received.kind == sent.kind);
  CHECK(received.choice.id == sent.choice.id);
  REQUIRE(received.choice.options.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(received.choice.options[i].key == sent.choice.options[i].key);
    CHECK((received.choice.options[i].value == sent.choice.options[i].value));
  }
  CHECK(received.file == sent.file);
  CHECK(received.workers == 3);
  CHECK(received.panic_threshold == 0.3);
  REQUIRE(received.backends.size() == 2);
  CHECK(received.backends[0].address == "10.0.0.1:8080");
  CHECK(received.backends[1].address == "");
  config::eachMember(received.backends[0].configured, [&](const char* name, const auto& came) {
    config::eachMember(backend, [&](const char* other, const auto& went) {
      if constexpr (std::is_same_v<decltype(came), decltype(went)>) {
        INFO(name);
        if (std::string(name) == other) CHECK(same(came, went));
      }
    });
  });
  for (const auto& key : config::backendKeys()) CHECK(key.same(backend, received.backends[0].configured));
  REQUIRE(received.state);
  CHECK(received.state->format == "com.example.first/1");
  CHECK(received.state->bytes == sent.state->bytes);
}

TEST_CASE("A rehearsal that is cut short is an error", "[app]") {
  const std::string whole = Rehearsal{}.encode();
  for (std::size_t size = 0; size + 1 < whole.size(); ++size)
    CHECK_FALSE(Rehearsal::decode(whole.substr(0, size)).ok());
  CHECK_FALSE(Rehearsal::decode("{}\n").ok());
  CHECK_FALSE(Rehearsal::decode("[1]\n").ok());
}

TEST_CASE("LEMONADE_PREFLIGHT is a duration or off", "[app]") {
  const auto limit = [](const char* text) { return preflightLimit({{"LEMONADE_PREFLIGHT", text}}); };
  REQUIRE(preflightLimit({}).ok());
  CHECK((preflightLimit({}).value() == std::optional<Duration>(5s)));
  CHECK((limit("").value() == std::optional<Duration>(5s)));
  CHECK((limit("1500ms").value() == std::optional<Duration>(1500ms)));
  CHECK_FALSE(limit("off").value().has_value());
  for (const char* wrong : {"on", "0", "-1s", "5 parsecs"}) CHECK_FALSE(limit(wrong).ok());
}
