// SPDX-License-Identifier: MIT
#include "health/probe.h"

#include "plugin/text.h"

#include "loopback.h"
#include "scripted_checker.h"
#include "support/manual_clock.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace lemonade;
using health::Probe;
using plugin::view;
using test::Port;
using test::ScriptedChecker;
using Outcome = Probe::Outcome;

namespace {

/// Drives one probe on the thread of the test.
struct Driver {
  ~Driver() {
    probe.cancel();
    checker.reset();
    CHECK(script.begun == script.ended);
    CHECK_FALSE(script.broken);
  }

  Outcome begin(const Backend& backend, Duration timeout = 2s) {
    return outcome = probe.begin(checker.get(), {backend, route}, timeout, epoll.get(), this);
  }
  /// Takes events until the probe ends or, for up to limit, nothing more happens.
  Outcome run(std::chrono::milliseconds limit = 5s) {
    epoll_event event;
    while (outcome == Outcome::kRunning && ::epoll_wait(epoll.get(), &event, 1, static_cast<int>(limit.count())) == 1) {
      REQUIRE(event.data.ptr == this);
      outcome = probe.onReady(event.events, buffer);
    }
    return outcome;
  }
  Outcome runUntil(const bool& reached) {
    epoll_event event;
    while (!reached && outcome == Outcome::kRunning && ::epoll_wait(epoll.get(), &event, 1, 5'000) == 1)
      outcome = probe.onReady(event.events, buffer);
    REQUIRE(reached);
    return outcome;
  }

  Fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  ScriptedChecker script;
  std::shared_ptr<health::Checker> checker = script.instance();
  test::ManualClock clock;
  Probe probe{clock};
  Probe::Route route;
  Outcome outcome = Outcome::kRunning;
  std::vector<char> buffer = std::vector<char>(4'096);
};

std::string readAll(const Fd& fd, std::size_t size) {
  std::string text(size, '\0');
  const auto got = ::recv(fd.get(), text.data(), size, MSG_WAITALL);
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return text;
}

}  // namespace

TEST_CASE("Probe passes a backend that accepts", "[health][probe]") {
  const auto* host = GENERATE("127.0.0.1", "::1");
  const Port port(Port::Kind::kListening, host);
  Driver d;
  CHECK(d.begin(*port.backend()) == Outcome::kRunning);
  CHECK(d.run() == Outcome::kPassed);
  CHECK(d.probe.reason().empty());
  CHECK_FALSE(d.probe.running());
}

TEST_CASE("Probe shows the checker its target", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  const auto backend = port.backend();
  Driver d;
  bool seen = false;
  d.script.on_begin = [&](const auto& target) {
    seen = view(target.id) == "web-1" && view(target.name) == "name of web-1" &&
           view(target.hostname) == "web.example" && view(target.address) == backend->addressText() &&
           target.identity == backend->identity() && target.timeout_ns == 2'000'000'000 &&
           target.now_ns == d.clock.nowNs() && target.struct_size == sizeof(target);
    return sdk::wait();
  };
  d.begin(*backend);
  CHECK(seen);
}

TEST_CASE("Probe says why in the host's words where the checker has none", "[health][probe]") {
  Driver d;
  SECTION("a refused connection") {
    d.begin(*Port(Port::Kind::kRefusing).backend());
    CHECK(d.run() == Outcome::kFailed);
    CHECK(d.probe.reason() == "connection refused");
  }
  SECTION("a timeout") {
    d.begin(*Port(Port::Kind::kListening).backend(), 1500ms);
    d.outcome = d.probe.onTimeout();
    CHECK(d.outcome == Outcome::kFailed);
    CHECK(d.probe.reason() == "timed out after 1500ms");
  }
  SECTION("a timeout of whole seconds") {
    d.begin(*Port(Port::Kind::kListening).backend(), 2s);
    d.outcome = d.probe.onTimeout();
    CHECK(d.probe.reason() == "timed out after 2s");
  }
  SECTION("a close") {
    const Port port(Port::Kind::kListening);
    d.script.on_event = ScriptedChecker::waitForEver;
    d.begin(*port.backend());
    port.accept();
    CHECK(d.run() == Outcome::kFailed);
    CHECK(d.probe.reason() == "closed by the backend");
  }
  SECTION("a reset") {
    const Port port(Port::Kind::kListening);
    bool connected = false;
    d.script.on_event = [&](const auto& event) {
      connected = true;
      return event.type == LEMONADE_PROBE_CONNECTED ? sdk::wait() : sdk::fail(event);
    };
    d.begin(*port.backend());
    d.runUntil(connected);
    test::resetOnClose(port.accept());
    CHECK(d.run() == Outcome::kFailed);
    CHECK(d.probe.reason() == "connection reset");
  }
  SECTION("nothing at all") {
    const Port port(Port::Kind::kListening);
    d.script.on_event = [](const auto&) { return sdk::fail(""); };
    d.begin(*port.backend());
    CHECK(d.run() == Outcome::kFailed);
    CHECK(d.probe.reason() == "the checker gave no reason");
  }
}

TEST_CASE("Probe tells the checker the error of a connection", "[health][probe]") {
  Driver d;
  int error = 0;
  d.script.on_event = [&](const auto& event) {
    error = event.type == LEMONADE_PROBE_ERROR ? event.error : 0;
    return sdk::fail("nobody home");
  };
  d.begin(*Port(Port::Kind::kRefusing).backend());
  CHECK(d.run() == Outcome::kFailed);
  CHECK(error == ECONNREFUSED);
  CHECK(d.probe.reason() == "nobody home");
}

TEST_CASE("Probe hands over bytes in the pieces they come in", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  Driver d;
  std::string received;
  bool part = false;
  d.script.on_event = [&](const auto& event) {
    received += view(event.data);
    part = received == "HEL";
    return received == "HELLO\n" ? sdk::pass() : sdk::wait();
  };
  d.begin(*port.backend());
  const auto server = port.accept();
  REQUIRE(::send(server.get(), "HEL", 3, 0) == 3);
  CHECK(d.runUntil(part) == Outcome::kRunning);
  REQUIRE(::send(server.get(), "LO\n", 3, 0) == 3);
  CHECK(d.run() == Outcome::kPassed);
}

TEST_CASE("Probe sends what begin and connected ask for in that order and then hears the answer", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  Driver d;
  bool asked = false;
  d.script.on_begin = [](const auto&) { return sdk::send("first "); };
  d.script.on_event = [&](const auto& event) {
    if (event.type == LEMONADE_PROBE_DATA)
      return view(event.data) == "yes" ? sdk::degraded("slow disk") : sdk::fail("no");
    asked = true;
    return sdk::send("second");
  };
  d.begin(*port.backend());
  d.runUntil(asked);
  const auto server = port.accept();
  CHECK(readAll(server, 12) == "first second");
  REQUIRE(::send(server.get(), "yes", 3, 0) == 3);
  CHECK(d.run() == Outcome::kDegraded);
  CHECK(d.probe.reason() == "slow disk");
}

TEST_CASE("Probe sends 64 KiB to a backend that reads slowly", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  std::string sent(64 * 1024, '\0');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7 % 251);
  constexpr int kRounds = 200;
  Driver d;
  int rounds = 0;
  d.script.on_event = [&](const auto&) { return ++rounds <= kRounds ? sdk::send(sent) : sdk::pass(); };
  d.begin(*port.backend());
  const auto server = port.accept();
  for (int i = 0; i < kRounds; ++i) {
    while (rounds <= i) {
      epoll_event event;
      REQUIRE(::epoll_wait(d.epoll.get(), &event, 1, 5'000) == 1);
      REQUIRE((d.outcome = d.probe.onReady(event.events, d.buffer)) == Outcome::kRunning);
    }
    // Read in small pieces, so that the sender meets a full buffer now and then.
    std::string got;
    while (got.size() < sent.size()) {
      char piece[1'000];
      const auto size = ::recv(server.get(), piece, std::min(sizeof(piece), sent.size() - got.size()), MSG_DONTWAIT);
      if (size > 0) got.append(piece, static_cast<std::size_t>(size));
      if (size <= 0) d.run(0ms);
    }
    REQUIRE(got == sent);
    REQUIRE(::send(server.get(), ".", 1, 0) == 1);
  }
  CHECK(d.run() == Outcome::kPassed);
}

TEST_CASE("Probe tells what a backend said before it closed on our sending", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  Driver d;
  std::string received;
  bool connected = false;
  const std::string noise(60'000, 'x');
  d.script.on_event = [&](const auto& event) {
    connected = true;
    received += view(event.data);
    return event.type <= LEMONADE_PROBE_DATA ? sdk::send(noise) : sdk::fail(event);
  };
  d.begin(*port.backend());
  d.runUntil(connected);
  {
    const auto server = port.accept();
    REQUIRE(::send(server.get(), "go away", 7, 0) == 7);
    readAll(server, 1);
  }
  CHECK(d.run() == Outcome::kFailed);
  CHECK(received.substr(0, 7) == "go away");
  CHECK((d.probe.reason() == "connection reset" || d.probe.reason() == "closed by the backend"));
}

TEST_CASE("Probe blames a checker whose verdicts mean nothing", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  const std::string huge(64 * 1024 + 1, 'x');
  Driver d;
  SECTION("an unknown verdict") {
    d.script.on_event = [](const auto&) { return sdk::verdict(17, {}, {}); };
    d.begin(*port.backend());
    CHECK(d.run() == Outcome::kBroken);
    CHECK(d.probe.reason() == "the checker answered with the unknown verdict 17");
  }
  SECTION("a send from nowhere") {
    d.script.on_event = [](const auto&) {
      auto verdict = sdk::send({});
      verdict.send = {nullptr, 5};
      return verdict;
    };
    d.begin(*port.backend());
    CHECK(d.run() == Outcome::kBroken);
    CHECK(d.probe.reason() == "the checker sends from a null pointer");
  }
  SECTION("a send that is too long") {
    d.script.on_begin = [&](const auto&) { return sdk::send(huge); };
    CHECK(d.begin(*port.backend()) == Outcome::kBroken);
    CHECK(d.probe.reason() == "the checker sends more than 64 KiB at once");
  }
  SECTION("what the SDK says where the checker threw") {
    d.script.on_event = [](const auto&) { return sdk::fail("the checker threw an exception"); };
    d.begin(*port.backend());
    CHECK(d.run() == Outcome::kBroken);
    CHECK(d.probe.reason() == "the checker threw an exception");
  }
}

TEST_CASE("Probe finds words for a reason from nowhere", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  Driver d;
  d.script.on_event = [](const auto&) {
    auto verdict = sdk::fail("");
    verdict.reason = {nullptr, 5};
    return verdict;
  };
  d.begin(*port.backend());
  CHECK(d.run() == Outcome::kFailed);
  CHECK(d.probe.reason() == "the checker gave no reason");
}

TEST_CASE("Probe cuts a long reason where a character begins", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  std::string reason = "x";
  for (int i = 0; i < 400; ++i) reason += "\u00e9";
  Driver d;
  d.script.on_event = [&](const auto&) { return sdk::fail(reason); };
  d.begin(*port.backend());
  CHECK(d.run() == Outcome::kFailed);
  CHECK(d.probe.reason() == reason.substr(0, 255));
}

TEST_CASE("Probe that the checker cannot begin is the checker's fault and is not ended", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  Driver d;
  d.script.begin_status = LEMONADE_ERROR_NO_MEMORY;
  CHECK(d.begin(*port.backend()) == Outcome::kBroken);
  CHECK(d.script.ended == 0);
  CHECK(d.probe.reason() == "the checker could not begin (status 4)");
}

TEST_CASE("Probe that is cancelled is ended once and says no more", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  Driver d;
  d.begin(*port.backend());
  d.probe.cancel();
  d.probe.cancel();
  CHECK(d.script.ended == 1);
  epoll_event event;
  CHECK(::epoll_wait(d.epoll.get(), &event, 1, 0) == 0);
  CHECK(d.begin(*port.backend()) == Outcome::kRunning);
  CHECK(d.run() == Outcome::kPassed);
}

TEST_CASE("Probe without a descriptor is skipped and says nothing about the backend", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  const auto backend = port.backend();
  Driver d;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto outcome = d.begin(*backend);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(outcome == Outcome::kSkipped);
  CHECK(d.script.begun == 0);
  CHECK(d.begin(*backend) == Outcome::kRunning);
  CHECK(d.run() == Outcome::kPassed);
}

TEST_CASE("Probe checks a backend at a Unix socket, and calls its host localhost", "[health][probe]") {
  const Port port(Port::Kind::kListening, "unix:@lemonade-probe-test-" + std::to_string(::getpid()));
  const auto backend = port.backend();
  Driver d;
  std::string address, hostname;
  d.script.on_begin = [&](const ScriptedChecker::Target& target) {
    address = view(target.address);
    hostname = view(target.hostname);
    return sdk::wait();
  };
  CHECK(d.begin(*backend) == Outcome::kRunning);
  CHECK(d.run() == Outcome::kPassed);
  CHECK(address == backend->addressText());
  CHECK(hostname == "localhost");
}

TEST_CASE("Probe fails where the queue of a Unix socket is full", "[health][probe]") {
  const auto address = *Address::parse("unix:@lemonade-probe-full-" + std::to_string(::getpid()));
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(listener.get(), address.get(), address.size()) == 0);
  REQUIRE(::listen(listener.get(), 0) == 0);
  const Fd waiting(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(waiting.get(), address.get(), address.size()) == 0);
  Driver d;
  CHECK(d.begin(Backend({.id = "full", .name = "full", .host = "unix:@full"}, address, 1)) == Outcome::kFailed);
  CHECK(d.probe.reason() == "its queue of clients that wait is full");
}

TEST_CASE("Probe goes to the port and the address that checks have, and tells the checker", "[health][probe]") {
  const Port refusing(Port::Kind::kRefusing), checked(Port::Kind::kListening, "127.0.0.2");
  const auto backend = refusing.backend();
  Driver d;
  std::string told;
  d.script.on_begin = [&](const ScriptedChecker::Target& target) {
    told = view(target.address);
    return sdk::wait();
  };
  d.route.port = checked.address().port();
  d.begin(*backend);
  CHECK(d.run() == Outcome::kFailed);
  d.route.address = *Address::parse("127.0.0.2", 0);
  d.begin(*backend);
  CHECK(d.run() == Outcome::kPassed);
  CHECK(told == checked.address().text());
}

TEST_CASE("Probe connects from the source address of its family", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  Driver d;
  d.route.source = *Address::parse("127.0.0.9", 0);
  d.begin(*port.backend());
  CHECK(d.run() == Outcome::kPassed);
  sockaddr_storage peer{};
  socklen_t size = sizeof(peer);
  const Fd accepted = port.accept();
  REQUIRE(::getpeername(accepted.get(), reinterpret_cast<sockaddr*>(&peer), &size) == 0);
  CHECK_THAT(Address(reinterpret_cast<sockaddr*>(&peer), size).text(), Catch::StartsWith("127.0.0.9:"));
  d.route.source = *Address::parse("::1", 0);
  d.begin(*port.backend());
  CHECK(d.run() == Outcome::kPassed);
  d.route.source = *Address::parse("192.0.2.1", 0);
  CHECK(d.begin(*port.backend()) == Outcome::kSkipped);
  CHECK_THAT(d.probe.reason(), Catch::Contains("cannot connect from 192.0.2.1"));
}

TEST_CASE("Probe sends a PROXY header before all that the checker sends", "[health][probe]") {
  const Port port(Port::Kind::kListening);
  Driver d;
  d.script.on_begin = [](const ScriptedChecker::Target&) { return sdk::send("hello"); };
  d.route.send_proxy = 2;
  d.begin(*port.backend());
  CHECK(d.run() == Outcome::kPassed);
  const auto local = std::string("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16);
  CHECK(readAll(port.accept(), local.size() + 5) == local + "hello");
  d.route.send_proxy = 1;
  d.begin(*port.backend());
  CHECK(d.run() == Outcome::kPassed);
  CHECK_THAT(readAll(port.accept(), 33), Catch::StartsWith("PROXY TCP4 127.0.0.1 127.0.0.1 "));
}
