// SPDX-License-Identifier: MIT
//
// Contents of strategies pass from one process by way of the supervisor to the next.
#include "app/earlier_contents.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

namespace lemonade::app {
namespace {

EarlierContents::Content contentOf(const std::string& name) {
  auto file = plugin::readPluginFile(std::string(LEMONADE_TEST_PLUGINS "/") + name + ".so");
  REQUIRE(file);
  return std::make_shared<const plugin::PluginFile>(std::move(file).value());
}

/// A balancer's link, and what the supervisor hears of it.
struct Told {
  Told() : Told(supervisor::makeChannel()) {}
  explicit Told(std::pair<Fd, Fd> ends) : link(std::move(ends.first)), supervisor(std::move(ends.second)) {}

  /// The files of the next message; fails where there is none.
  std::vector<Fd> files() {
    supervisor::Message message;
    REQUIRE(supervisor::receive(supervisor.get(), message) == supervisor::Received::kMessage);
    CHECK(message.what == supervisor::kEarlier);
    return std::move(message.descriptors);
  }
  bool hasNone() {
    supervisor::Message message;
    return supervisor::receive(supervisor.get(), message) == supervisor::Received::kNothing;
  }

  const supervisor::Link link;
  Fd supervisor;
};

}  // namespace

TEST_CASE("A content that one process has kept is found by the next, unless it is quarantined", "[app][quarantine]") {
  const auto first = contentOf("round_robin"), second = contentOf("prometheus");
  Told told;
  EarlierContents before, after;
  CHECK(before.keep({first, second, first}, told.link));
  auto files = told.files();
  REQUIRE(files.size() == 2);
  CHECK(::write(files.front().get(), "x", 1) < 0);  // nobody changes it
  after.read(std::move(files));
  Quarantine quarantine;
  const auto found = after.find("round_robin", "/plugins/today.so", quarantine);
  REQUIRE(found.size() == 1);
  CHECK(found[0]->content == first->content);
  CHECK(found[0]->hash == first->hash);
  CHECK(found[0]->path == "/plugins/today.so");
  CHECK(after.find("adaptive", "", quarantine).empty());
  quarantine.add({{"round_robin", "1.0.0", "", 1, first->hash}, "pick", "it failed"});
  CHECK(after.find("round_robin", "", quarantine).empty());
  after.forget();
  CHECK(after.find("prometheus", "", quarantine).empty());
}

TEST_CASE("The supervisor is told of what is kept where there is or was something, and only then",
          "[app][quarantine]") {
  Told told;
  EarlierContents contents;
  CHECK(contents.keep({}, told.link));
  CHECK(told.hasNone());
  CHECK(contents.keep({contentOf("round_robin")}, told.link));
  CHECK(told.files().size() == 1);
  CHECK(contents.keep({}, told.link));
  CHECK(told.files().empty());
  CHECK(contents.keep({}, told.link));
  CHECK(told.hasNone());
  CHECK(contents.keep({contentOf("round_robin")}, supervisor::Link()));
}

TEST_CASE("What is none of a plugin is left out", "[app][quarantine]") {
  Told told;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  std::vector<Fd> files;
  files.emplace_back(ends[0]);
  files.emplace_back(ends[1]);
  EarlierContents contents;
  contents.read(std::move(files));
  CHECK(contents.find("round_robin", "", Quarantine()).empty());
}

}  // namespace lemonade::app
