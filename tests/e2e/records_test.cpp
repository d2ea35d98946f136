// SPDX-License-Identifier: MIT
//
// What the access log says of sessions, served or not, over both relays.
#include "e2e/access_logged.h"
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"
#include "support/skip.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <ctime>
#include <future>
#include <string>
#include <thread>
#include <vector>

namespace lemonade::test {
namespace {

std::string text(const Poco::JSON::Object::Ptr& record, const std::string& name) {
  return record->getValue<std::string>(name);
}
double number(const Poco::JSON::Object::Ptr& record, const std::string& name) { return record->getValue<double>(name); }

/// Answers each line after a while, with one of five bytes.
Server::Handler slow(Millis after) {
  return [after](Socket& client) {
    while (!client.receiveLine().empty()) {
      std::this_thread::sleep_for(after);
      client.send("done\n");
    }
  };
}

/// Takes a line and resets the connection.
void resetting(Socket& client) {
  (void)client.receiveLine();
  client.reset();
}

/// Seconds since 1970 of "2026-11-28T23:53:46.123456Z".
std::time_t secondsOf(const std::string& time) {
  std::tm parts{};
  REQUIRE(::strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) != nullptr);
  return ::timegm(&parts);
}

}  // namespace

TEST_CASE("The record of a session that was served has who took part, what moved and how long it took", "[records]") {
  Server server(slow(50ms));
  const AccessLogFile file;
  Balancer balancer(logged(Config(), file).backend("a", server.address(), "name = \"first\""));
  const auto before = std::time(nullptr);
  Socket client = balancer.connect();
  const auto address = client.localAddress();
  client.send("one\n");
  CHECK(client.receiveLine() == "done");
  client.send("second\n");
  CHECK(client.receiveLine() == "done");
  client.finishSending();
  CHECK(client.receiveAll().empty());
  const auto record = file.only();
  CHECK(text(record, "listener") == "default");
  CHECK(text(record, "pool") == "default");
  CHECK(text(record, "backend") == "a");
  CHECK(text(record, "backend_address") == server.address());
  CHECK(text(record, "client") == address);
  CHECK(text(record, "peer") == address);
  CHECK(text(record, "reason") == "done");
  CHECK_FALSE(record->getValue<bool>("error"));
  CHECK(number(record, "attempts") == 1);
  CHECK(number(record, "exchanges") == 2);
  CHECK(number(record, "bytes_in") == 11);
  CHECK(number(record, "bytes_out") == 10);
  CHECK(number(record, "bytes_out_acked") == 10);
  CHECK(number(record, "bytes_in_acked") == 11);
  CHECK(number(record, "queue_ms") == 0);
  CHECK(number(record, "connect_ms") > 0);
  CHECK(number(record, "first_byte_ms") >= 50);
  CHECK(number(record, "slowest_exchange_ms") >= 50);
  CHECK(number(record, "duration_ms") >= 100);
  CHECK(number(record, "duration_ms") < 20'000);
  CHECK(secondsOf(text(record, "time")) >= before);
  CHECK(secondsOf(text(record, "time")) <= std::time(nullptr) + 1);
}

TEST_CASE("The record of an upload that its backend does not read tells what has reached that", "[records]") {
  std::promise<void> over;
  Server server([is_over = over.get_future().share()](Socket&) { (void)is_over.wait_for(20s); });
  const AccessLogFile file;
  {
    Balancer balancer(logged(Config(), file)
                          .set("runtime.drain_timeout_millis", 50)
                          .set("runtime.accept_timeout_millis", 5'000)
                          .backend("a", server.address()));
    Socket client = balancer.connect();
    const std::string chunk(1 << 20, 'x');
    while (client.sendSome(chunk) != 0 || client.next(100ms) != End::kOpen || client.sendSome(chunk) != 0) {
    }
    CHECK(balancer.stop() == 0);
  }
  over.set_value();
  const auto record = file.only();
  CHECK(text(record, "reason") == "drain");
  CHECK(number(record, "bytes_in_acked") > 0);
  CHECK(number(record, "bytes_in_acked") < number(record, "bytes_in"));
}

TEST_CASE("The time to the first byte is known of a server that speaks first, too", "[records]") {
  Server server([](Socket& client) {
    std::this_thread::sleep_for(30ms);
    client.send("hello\n");
    (void)client.receiveAll();
  });
  const AccessLogFile file;
  Balancer balancer(logged(Config(), file).backend("a", server.address()));
  {
    Socket client = balancer.connect();
    CHECK(client.receiveLine() == "hello");
    client.finishSending();
    (void)client.receiveAll();
  }
  const auto record = file.only();
  CHECK(number(record, "first_byte_ms") >= 25);
  CHECK(number(record, "exchanges") == 0);
}

TEST_CASE("A client whose backends all refuse has a record with the last one and all attempts", "[records]") {
  RefusingPort first, second;
  const AccessLogFile file;
  Balancer balancer(
      logged(Config(), file).set("proxy.retries", 1).backend("a", first.address()).backend("b", second.address()));
  Socket client = balancer.connect();
  CHECK(client.next() != End::kOpen);
  const auto record = file.only();
  CHECK(text(record, "reason") == "connect-failed");
  CHECK(record->getValue<bool>("error"));
  CHECK(number(record, "attempts") == 2);
  CHECK((text(record, "backend") == "a" || text(record, "backend") == "b"));
  CHECK(number(record, "connect_ms") == 0);
  CHECK(number(record, "bytes_out") == 0);
  CHECK(record->isNull("bytes_in_acked"));
}

TEST_CASE("A client for which there is no backend has a record without one", "[records]") {
  const AccessLogFile file;
  Balancer balancer(logged(Config(), file).backend("a", "127.0.0.1:9", "enabled = false"));
  Socket client = balancer.connect();
  CHECK(client.next() != End::kOpen);
  const auto record = file.only();
  CHECK(text(record, "reason") == "no-backend");
  CHECK(text(record, "backend").empty());
  CHECK(number(record, "attempts") == 0);
}

TEST_CASE("A client that waits for a place has the time that it waited in its record", "[records]") {
  Server server(named("a"));
  const AccessLogFile file;
  Balancer balancer(
      logged(Config(), file).set("proxy.queue_timeout", "300ms").backend("a", server.address(), "max_connections = 1"));
  Socket holder = balancer.connect();
  REQUIRE(holder.receiveLine() == "a");
  SECTION("in vain") {
    Socket late = balancer.connect();
    CHECK(late.next(5s) != End::kOpen);
    const auto record = file.only();
    CHECK(text(record, "reason") == "queue-timeout");
    CHECK(record->getValue<bool>("error"));
    CHECK(number(record, "queue_ms") >= 290);
    CHECK(number(record, "attempts") == 0);
  }
  SECTION("and is served then") {
    Socket late = balancer.connect();
    const auto address = late.localAddress();
    CHECK(late.staysOpen(100ms));
    holder.close();
    CHECK(late.receiveLine() == "a");
    late.close();
    Poco::JSON::Object::Ptr served;  // two workers may have had the two clients, and either line comes first
    for (const auto& line : file.await(2))
      if (auto one = Poco::JSON::Parser().parse(line).extract<Poco::JSON::Object::Ptr>();
          text(one, "client") == address)
        served = one;
    REQUIRE(served);
    CHECK(text(served, "reason") == "done");
    CHECK(number(served, "queue_ms") >= 90);
    CHECK(number(served, "queue_ms") <= number(served, "duration_ms"));
  }
}

TEST_CASE("A session that one side resets says which", "[records]") {
  const AccessLogFile file;
  SECTION("the client") {
    Server server(echo());
    Balancer balancer(logged(Config(), file).backend("a", server.address()));
    Socket client = balancer.connect();
    client.send("x");
    CHECK(client.receive(1) == "x");
    client.reset();
    const auto record = file.only();
    CHECK(text(record, "reason") == "client-reset");
    CHECK_FALSE(record->getValue<bool>("error"));
  }
  SECTION("the backend") {
    Server server(resetting);
    Balancer balancer(logged(Config(), file).backend("a", server.address()));
    Socket client = balancer.connect();
    client.send("x\n");
    CHECK(client.next() == End::kReset);
    const auto record = file.only();
    CHECK(text(record, "reason") == "backend-reset");
    CHECK(record->getValue<bool>("error"));
  }
}

TEST_CASE("A session that idles for too long says so, and is an error where an answer was owed", "[records]") {
  const bool owed = GENERATE(false, true);
  CAPTURE(owed);
  Server server([](Socket& client) { (void)client.receiveAll(); });
  const AccessLogFile file;
  Balancer balancer(logged(Config(), file).set("proxy.idle_timeout", "200ms").backend("a", server.address()));
  Socket client = balancer.connect();
  if (owed) client.send("x");
  CHECK(client.next() != End::kOpen);
  const auto record = file.only();
  CHECK(text(record, "reason") == "idle-timeout");
  CHECK(record->getValue<bool>("error") == owed);
}

TEST_CASE("The record of a client behind a proxy has both", "[records]") {
  Server server(named("a"));
  const AccessLogFile file;
  Balancer balancer(logged(Config(), file)
                        .set("proxy.accept_proxy", "v1")
                        .raw("proxy.trusted", R"(["127.0.0.1"])")
                        .backend("a", server.address()));
  Socket client = balancer.connect();
  const auto address = client.localAddress();
  SECTION("that named it") {
    client.send("PROXY TCP4 203.0.113.7 198.51.100.1 4000 443\r\n");
    CHECK(client.receiveLine() == "a");
    client.finishSending();
    (void)client.receiveAll();
    const auto record = file.only();
    CHECK(text(record, "client") == "203.0.113.7:4000");
    CHECK(text(record, "peer") == address);
    CHECK(text(record, "reason") == "done");
  }
  SECTION("of which the header is none") {
    client.send("GET / HTTP/1.1\r\n\r\n");
    CHECK(client.next() != End::kOpen);
    const auto record = file.only();
    CHECK(text(record, "client") == address);
    CHECK(text(record, "peer") == address);
    CHECK(text(record, "reason") == "header-malformed");
    CHECK(text(record, "pool").empty());
    CHECK(record->getValue<bool>("error"));
  }
}

TEST_CASE("Sessions that a stop ends have their records before the process is gone", "[records]") {
  Server server(named("a"));
  const AccessLogFile file;
  {
    Balancer balancer(logged(Config(), file)
                          .set("runtime.drain_timeout_millis", 100)
                          .set("runtime.accept_timeout_millis", 5'000)
                          .backend("a", server.address()));
    std::vector<Socket> clients;
    for (int i = 0; i < 20; ++i) {
      clients.push_back(balancer.connect());
      REQUIRE(clients.back().receiveLine() == "a");
    }
    CHECK(balancer.stop() == 0);
  }
  const auto lines = file.lines();
  REQUIRE(lines.size() == 20);
  for (const auto& line : lines) CHECK(contains(line, R"("reason":"drain")"));
}

TEST_CASE("Records that a sink does not take in time are dropped and counted, and clients are served meanwhile",
          "[records]") {
  Server server(named("a"));
  Balancer balancer(Config()
                        .raw("metrics.sinks", R"(["prometheus", "com.example.slow"])")
                        .raw("metrics.options", "{\"com.example.slow\" = {delay = \"300ms\"}}")
                        .set("runtime.records_cap", 10)
                        .set("runtime.background_timeout_millis", 10'000)
                        .backend("a", server.address()));
  const auto dropped = [&] {
    return balancer.metric("lemonade_session_records_dropped_total", {"sink=\"com.example.slow\""});
  };
  REQUIRE(balancer.ask() == "a");
  REQUIRE(eventually([&] {
    for (int i = 0; i < 50; ++i)
      if (balancer.ask() != "a") return false;
    return dropped() > 0;
  }));
  CHECK(balancer.metric("lemonade_session_records_dropped_total", {"sink=\"prometheus\""}) == 0);
}

}  // namespace lemonade::test
