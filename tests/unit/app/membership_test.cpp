// SPDX-License-Identifier: MIT
//
// With a resolver that answers what and when the test says.
#include "app/membership.h"

#include "base/control_loop.h"
#include "support/deadline.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace lemonade;
using namespace lemonade::app;
using namespace lemonade::test;

namespace {

using Texts = std::vector<std::string>;

Resolution found(const std::string& name, const Texts& addresses) {
  Target target{name};
  for (const auto& text : addresses) target.addresses.push_back(*Address::parse(text, 0));
  return {Resolution::Outcome::kFound, {std::move(target)}};
}

Resolution failed(Resolution::Outcome outcome) { return {outcome, {}, "the name has no address"}; }

config::Backend backend(const std::string& id, const std::string& host) {
  config::Backend one;
  one.id = id;
  one.host = host;
  one.port = 80;
  return one;
}

/// Keeps every question until the test answers it.
class ScriptedResolver final : public Resolver {
 public:
  explicit ScriptedResolver(ControlLoop& loop) : Resolver(loop) {}

  void resolve(const std::string& name, Callback answered) override {
    questions_[name].push_back(std::move(answered));
    ++asked_;
  }
  /// Answers the oldest question for the name. Control thread.
  void answer(const std::string& name, const Resolution& resolution) {
    auto& waiting = questions_[name];
    REQUIRE_FALSE(waiting.empty());
    const auto answered = std::move(waiting.front());
    waiting.erase(waiting.begin());
    answered(resolution);
  }
  /// How many questions for the name are not answered. Control thread.
  std::size_t open(const std::string& name) { return questions_[name].size(); }
  /// How many questions there have been. Any thread.
  std::size_t asked() const { return asked_; }

 private:
  std::map<std::string, std::vector<Callback>> questions_;
  std::atomic<std::size_t> asked_{0};
};

/// What happens to the membership happens on the control thread, while the test waits.
struct Fixture {
  Fixture() { loop.start(); }
  ~Fixture() { loop.stop(); }

  /// Numeric addresses are known, as the preparation of a configuration has them.
  void configure(const std::vector<config::Backend>& backends, Resolutions known = {},
                 Duration interval = std::chrono::hours(1)) {
    for (const auto& backend : backends)
      if (Address::parse(backend.host, 0)) known.try_emplace(backend.host, found(backend.host, {backend.host}));
    loop.run([&] { membership.configure(backends, known, interval); });
  }
  /// Returns when what follows from the answer has happened too.
  void answer(const std::string& name, const Resolution& resolution) {
    loop.run([&] { resolver.answer(name, resolution); });
    loop.run([] {});
  }
  std::size_t open(const std::string& name) {
    std::size_t count = 0;
    loop.run([&] { count = resolver.open(name); });
    return count;
  }
  View::Backends backends() {
    View::Backends all;
    loop.run([&] { all = membership.backends(); });
    return all;
  }
  /// "id address" of each backend.
  Texts shown() {
    Texts texts;
    for (const auto& one : backends()) texts.push_back(one->id() + " " + one->addressText());
    return texts;
  }

  ControlLoop loop;
  ScriptedResolver resolver{loop};
  Quiescence quiescence{2};
  Pool pool{"default", quiescence, 2};
  std::atomic<int> changes{0};
  Membership membership{loop, resolver, pool, [this](const View::Backends&) { ++changes; }};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "Membership has backends with numeric addresses at once and asks for none", "[app][names]") {
  configure({backend("a", "10.0.0.1"), backend("b", "::1")});
  CHECK(shown() == Texts{"a 10.0.0.1:80", "b [::1]:80"});
  for (const auto& backend : backends()) CHECK(backend->healthy());
  CHECK(changes == 1);
  CHECK(resolver.asked() == 0);
}

TEST_CASE_METHOD(Fixture, "Membership has one backend without an address until a name is answered", "[app][names]") {
  configure({backend("a", "web")});
  REQUIRE(backends().size() == 1);
  CHECK_FALSE(backends()[0]->resolved());
  CHECK_FALSE(backends()[0]->healthy());
  CHECK(backends()[0]->healthReason() == "name does not resolve");

  answer("web", found("web", {"10.0.0.1", "10.0.0.2"}));
  CHECK(shown() == Texts{"a 10.0.0.1:80", "a 10.0.0.2:80"});
  CHECK(changes == 2);
}

TEST_CASE_METHOD(Fixture, "Membership asks once for a name that several backends have", "[app][names]") {
  auto other_port = backend("b", "web");
  other_port.port = 81;
  configure({backend("a", "web"), other_port});
  CHECK(resolver.asked() == 1);
  answer("web", found("web", {"10.0.0.1"}));
  CHECK(shown() == Texts{"a 10.0.0.1:80", "b 10.0.0.1:81"});
}

TEST_CASE_METHOD(Fixture, "Membership keeps the object of an address that a changed name still has", "[app][names]") {
  configure({backend("a", "web")}, {}, 1ms);
  answer("web", found("web", {"10.0.0.1", "10.0.0.2"}));
  const auto before = backends();
  REQUIRE(eventually([&] { return open("web") == 1; }));
  answer("web", found("web", {"10.0.0.2", "10.0.0.3"}));
  CHECK(shown() == Texts{"a 10.0.0.2:80", "a 10.0.0.3:80"});
  CHECK(backends()[0] == before[1]);
}

TEST_CASE_METHOD(Fixture, "Membership tells nobody of an answer that changes nothing", "[app][names]") {
  configure({backend("a", "web")}, {}, 1ms);
  answer("web", found("web", {"10.0.0.1"}));
  REQUIRE(eventually([&] { return open("web") == 1; }));
  answer("web", found("web", {"10.0.0.1"}));
  CHECK(changes == 2);
}

TEST_CASE_METHOD(Fixture, "Membership keeps the addresses of a name that fails", "[app][names]") {
  using Outcome = Resolution::Outcome;
  const auto outcome = GENERATE(Outcome::kNotFound, Outcome::kTemporary);
  configure({backend("a", "web")}, {}, 1ms);
  answer("web", found("web", {"10.0.0.1"}));
  const auto before = backends();
  REQUIRE(eventually([&] { return open("web") == 1; }));
  answer("web", failed(outcome));
  CHECK(backends() == before);
  CHECK(changes == 2);
  // And goes on asking.
  REQUIRE(eventually([&] { return open("web") == 1; }));
  answer("web", found("web", {"10.0.0.9"}));
  CHECK(shown() == Texts{"a 10.0.0.9:80"});
}

TEST_CASE_METHOD(Fixture, "Membership changes once for many names that are answered at once", "[app][names]") {
  std::vector<config::Backend> many;
  for (int i = 0; i < 50; ++i) many.push_back(backend(std::to_string(i), "web" + std::to_string(i)));
  configure(many);
  loop.run([&] {
    for (const auto& one : many) resolver.answer(one.host, found(one.host, {"10.0.0.1"}));
  });
  loop.run([] {});
  CHECK(changes == 2);
  CHECK(backends()[49]->addressText() == "10.0.0.1:80");
}

TEST_CASE_METHOD(Fixture, "Membership takes over what preparation found and asks for that later", "[app][names]") {
  configure({backend("a", "web"), backend("b", "new")}, {{"web", found("web", {"10.0.0.1"})}});
  CHECK(open("web") == 0);
  CHECK(open("new") == 1);
  CHECK(shown() == Texts{"a 10.0.0.1:80", "b new:80"});
  loop.run([&] {
    CHECK(membership.names().at("web").at(0).addresses.size() == 1);
    CHECK(membership.names().at("new").empty());
  });
}

TEST_CASE_METHOD(Fixture, "Membership keeps at a reload what stays and applies what is new about it", "[app][names]") {
  configure({backend("a", "web"), backend("b", "10.0.0.2")});
  answer("web", found("web", {"10.0.0.1"}));
  const auto before = backends();

  auto heavier = backend("a", "web");
  heavier.weight = 7;
  configure({heavier, backend("c", "10.0.0.3")});
  CHECK(shown() == Texts{"a 10.0.0.1:80", "c 10.0.0.3:80"});
  CHECK(backends()[0] == before[0]);
  CHECK(backends()[0]->weight() == 7);
  CHECK(open("web") == 1);  // asked for anew, at once
}

TEST_CASE_METHOD(Fixture, "Membership has the same object again of a backend that comes back while it drains",
                 "[app][names]") {
  configure({backend("a", "10.0.0.1"), backend("b", "10.0.0.2")});
  const auto draining = backends()[1];  // held as a session's pool holds it
  configure({backend("a", "10.0.0.1")});
  configure({backend("a", "10.0.0.1"), backend("b", "10.0.0.2")});
  CHECK(backends()[1] == draining);
}

TEST_CASE_METHOD(Fixture, "Membership makes a new object of a backend that comes back after its end", "[app][names]") {
  configure({backend("a", "10.0.0.1"), backend("b", "10.0.0.2")});
  backends()[1]->setHealth(false, "it was down then");
  configure({backend("a", "10.0.0.1")});
  configure({backend("a", "10.0.0.1"), backend("b", "10.0.0.2")});
  CHECK(backends()[1]->healthy());
}

TEST_CASE_METHOD(Fixture, "Membership asks soon again for a name that leads nowhere", "[app][names]") {
  configure({backend("a", "web")}, {}, 1ms);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(eventually([&] { return open("web") == 1; }));
    answer("web", failed(Resolution::Outcome::kTemporary));
  }
  CHECK(changes == 1);
  CHECK(shown() == Texts{"a web:80"});
}

TEST_CASE_METHOD(Fixture, "Membership drops answers for names that are no longer configured", "[app][names]") {
  configure({backend("a", "web")});
  configure({backend("a", "10.0.0.1")});
  answer("web", found("web", {"10.0.0.9"}));
  CHECK(shown() == Texts{"a 10.0.0.1:80"});
  CHECK(changes == 2);
}

TEST_CASE_METHOD(Fixture, "Membership drops answers after its stop and asks no more", "[app][names]") {
  configure({backend("a", "web"), backend("b", "other")}, {}, 1ms);
  answer("other", found("other", {"10.0.0.2"}));
  const auto before = changes.load();
  loop.run([&] { membership.stop(); });
  const auto asked = resolver.asked();
  answer("web", found("web", {"10.0.0.1"}));
  CHECK(changes == before);
  CHECK(backends()[0]->addressText() == "web:80");
  // A timer that is due later than the next question would have been.
  std::atomic<bool> later{false};
  loop.run([&] { loop.after(20ms, [&] { later = true; }); });
  REQUIRE(eventually([&] { return later.load(); }));
  CHECK(resolver.asked() == asked);
}
