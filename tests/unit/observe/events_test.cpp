// SPDX-License-Identifier: MIT
//
// The ring of events, without a balancer: what stays, what is told to have been lost, and who is woken.
#include "observe/events.h"

#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>

#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>

using namespace lemonade;

namespace {

void add(Events& events, const std::string& text) { events.add({.kind = EventKind::kBackendDown, .text = text}); }

std::string textsOf(const Events::Page& page) {
  std::string all;
  for (const auto& event : page.events) all += event.text;
  return all;
}

constexpr std::uint64_t kLater = 1'000;

}  // namespace

TEST_CASE("Events are read on from where the last answer ended", "[events]") {
  Events events(100);
  for (const char* text : {"a", "b", "c"}) add(events, text);
  const auto first = events.after(0, 2);
  CHECK(textsOf(first) == "ab");
  CHECK(first.events.front().sequence == 101);
  CHECK(first.next == 102);
  CHECK(first.lost == 0);
  const auto rest = events.after(first.next, 2);
  CHECK(textsOf(rest) == "c");
  CHECK(events.after(rest.next, 2).events.empty());
  CHECK(events.after(rest.next, 2).next == rest.next);
  CHECK(textsOf(events.latest(2)) == "bc");
  CHECK(events.latest(0).events.empty());
  CHECK(events.latest(0).next == 103);
}

TEST_CASE("A full ring drops the oldest event and says how many a reader has missed", "[events]") {
  Events events(100, 3);
  for (const char* text : {"a", "b", "c", "d", "e"}) add(events, text);
  CHECK(textsOf(events.after(101, 10)) == "cde");
  CHECK(events.after(101, 10).lost == 1);
  CHECK(events.after(0, 10).lost == 2);
  CHECK(events.after(0, 2).lost == 2);
  CHECK(events.after(102, 10).lost == 0);
  CHECK(events.latest(2).lost == 0);
}

TEST_CASE("Events of processes before stand in front, and what is gone of them is told as lost", "[events]") {
  Events first(100, 3), second(1'000, 5), third(2'000, 6);
  for (const char* text : {"a", "b", "c", "d"}) add(first, text);
  add(second, "e");
  second.inherit(first.told());
  add(second, "f");
  CHECK(textsOf(second.after(0, 10)) == "bcdef");
  CHECK(second.after(0, 10).lost == 1);
  CHECK(second.after(102, 10).lost == 0);
  CHECK(textsOf(second.after(103, 2)) == "de");
  CHECK(second.after(103, 2).next == 1'001);
  CHECK(second.after(500, 10).lost == 0);
  CHECK(textsOf(second.latest(3)) == "def");
  third.inherit(second.told());
  add(third, "g");
  CHECK(textsOf(third.after(0, 10)) == "bcdefg");
  add(third, "h");
  CHECK(textsOf(third.after(0, 10)) == "cdefgh");
  CHECK(third.after(0, 10).lost == 2);
  CHECK(third.after(0, 10).next == 2'002);
  CHECK(third.latest(2).lost == 0);
}

TEST_CASE("Events of a process before that cannot be are left out", "[events]") {
  Events events(100);
  add(events, "own");
  const auto eventOf = [](std::uint64_t sequence, const char* text) {
    Event event{.kind = EventKind::kReady, .text = text};
    event.sequence = sequence;
    return event;
  };
  events.inherit({{eventOf(12, "a"), eventOf(11, "before"), eventOf(12, "again"), eventOf(40, "of nobody"),
                   eventOf(101, "of this")},
                  {{10, 13}, {12, 20}, {30, 29}, {90, 120}}});
  CHECK(textsOf(events.after(0, 10)) == "aown");
  CHECK(events.after(0, 10).lost == 2);
}

TEST_CASE("Every kind of event is found by its name", "[events]") {
  for (std::size_t i = 0; i < kEventKinds.size(); ++i) CHECK(eventKindOf(kEventKinds[i]) == static_cast<EventKind>(i));
  CHECK_FALSE(eventKindOf("eaten"));
}

TEST_CASE("A number that is still to come stands for the newest event", "[events]") {
  Events events(100);
  add(events, "a");
  CHECK(events.after(9'999, 10).events.empty());
  CHECK(events.after(9'999, 10).next == 101);
  int heard = 0;
  CHECK(events.await(9'999, kLater, [&] { ++heard; }));
  CHECK(heard == 0);
  add(events, "b");
  CHECK(heard == 1);
}

TEST_CASE("Who waits for an event is woken by it once", "[events]") {
  Events events(0);
  int heard = 0;
  CHECK(events.await(0, kLater, [&] { ++heard; }));
  add(events, "a");
  add(events, "b");
  CHECK(heard == 1);
  SECTION("and at once where it is there already") {
    CHECK(events.await(1, kLater, [&] { ++heard; }));
    CHECK(heard == 2);
  }
}

TEST_CASE("Who waits for an event is let go when the time is over and when the ring is closed", "[events]") {
  Events events(0);
  int heard = 0;
  CHECK(events.await(0, kLater, [&] { ++heard; }));
  events.expire(kLater - 1);
  CHECK(heard == 0);
  events.expire(kLater);
  CHECK(heard == 1);
  CHECK(events.await(0, kLater, [&] { ++heard; }));
  events.close();
  CHECK(heard == 2);
  CHECK(events.await(0, kLater, [&] { ++heard; }));
  CHECK(heard == 3);
}

TEST_CASE("No more wait for an event than the ring has room for", "[events]") {
  Events events(0);
  int heard = 0;
  for (std::size_t i = 0; i < Events::kMostWaiters; ++i) REQUIRE(events.await(0, kLater, [&] { ++heard; }));
  CHECK_FALSE(events.await(0, kLater, [&] { ++heard; }));
  CHECK(heard == 0);
}

TEST_CASE("Events are JSON with their kind and fields whatever their texts hold", "[events]") {
  Events events(7);
  events.add({.kind = EventKind::kReloadRefused,
              .text = "no \"way\"\xff",
              .pool = "web",
              .backend = "a",
              .fields = {{"reason", std::string(5'000, 'x')}}});
  const auto object = Poco::JSON::Parser().parse(eventsJson(events.after(0, 10))).extract<Poco::JSON::Object::Ptr>();
  CHECK(object->getValue<int>("next") == 8);
  CHECK(object->getValue<int>("lost") == 0);
  const auto event = object->getArray("events")->getObject(0);
  CHECK(event->getValue<int>("sequence") == 8);
  CHECK(event->getValue<std::string>("kind") == "reload_refused");
  CHECK(event->getValue<std::string>("pool") == "web");
  CHECK(event->getValue<std::string>("backend") == "a");
  CHECK(event->getValue<std::string>("text").starts_with("no \"way\""));
  CHECK(event->getValue<double>("unix_time") > 1.7e9);
  CHECK(event->getObject("fields")->getValue<std::string>("reason").size() < 3'000);
}

TEST_CASE("The page of the admin API says what each kind of event means", "[events]") {
  std::ifstream file(std::string(LEMONADE_SOURCE_DIR) + "/docs/admin-api.md");
  std::ostringstream page;
  page << file.rdbuf();
  for (const std::string kind : kEventKinds) {
    INFO(kind);
    CHECK(page.str().find("| `" + kind + "` |") != std::string::npos);
  }
}
