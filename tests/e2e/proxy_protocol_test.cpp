// SPDX-License-Identifier: MIT
//
// The PROXY protocol on either side of the balancer, over both relays, with nginx and HAProxy as the others.
#include "e2e/reloading.h"
#include "support/balancer.h"
#include "support/server.h"
#include "support/skip.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::test {
namespace {

using namespace std::string_literals;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;
/// Version 2: from 203.0.113.7:4000 to 198.51.100.1:443.
const std::string kInet = kSignature + "\x21\x11\0\x0c\xcb\x00\x71\x07\xc6\x33\x64\x01\x0f\xa0\x01\xbb"s;
const std::string kLocal = kSignature + "\x20\0\0\0"s;
const std::string kLine = "PROXY TCP4 203.0.113.7 198.51.100.1 4000 443\r\n";

std::string aRelay() { return GENERATE(as<std::string>{}, "epoll", "io_uring"); }

Config reading(const std::string& relay, const std::string& versions = "v1+v2") {
  return unwatched()
      .set("proxy.relay", relay)
      .set("proxy.accept_proxy", versions)
      .raw("proxy.trusted", "[\"127.0.0.1\"]");
}

double refused(Balancer& balancer, const std::string& reason) {
  return balancer.metric("lemonade_proxy_header_refused_total", {"reason=\"" + reason + "\""});
}

/// The client as the access log has it, of the session that ends next.
std::string nextClient(Balancer& balancer, std::size_t from) {
  return field(balancer.process().waitForLog("reason=done", 10s, from), "client");
}

/// A port that nobody listens at. Somebody may take it before it is used, which fails the test.
std::string freeAddress() { return localAddressOf(bindTo("127.0.0.1:0").get()); }

bool listens(const std::string& address) {
  try {
    (void)Socket::connect(address);
    return true;
  } catch (const ResetError&) {
    return false;
  }
}

/// nginx or HAProxy with a configuration of the test's own.
class Program {
 public:
  Program(const TemporaryFolder& folder, const std::string& name, const std::string& config,
          const std::string& address) {
    if (!installed(name)) skip(name + " is not installed");
    const auto file = folder.write(name + ".conf", config);
    const auto root = folder.path().string();
    process_ = std::make_unique<Process>(name == "nginx" ? Arguments{"nginx", "-p", root, "-c", file}
                                                         : Arguments{"haproxy", "-db", "-f", file});
    REQUIRE(eventually([&] { return listens(address); }));
  }
  ~Program() {
    process_->signal(SIGTERM);
    CHECK(process_->wait());
  }

 private:
  std::unique_ptr<Process> process_;
};

constexpr const char* kNginx =
    "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off; master_process off; error_log stderr; pid "
    "pid;\n"
    "events {}\n";
constexpr const char* kNginxHttp =
    "daemon off; master_process off; error_log stderr; pid pid;\nevents {}\nhttp { access_log off; "
    "client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;\n";
constexpr const char* kHaproxy =
    "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n";

/// Answers each client with the first line, or the first 28 bytes where they are no line, that it sent.
Server::Handler firstLine() {
  return [](Socket& socket) {
    std::string first = socket.receive(1);
    if (first == "\r") {
      first += socket.receive(27);
    } else {
      first += socket.receiveLine() + "\n";
    }
    socket.send(first);
    socket.receiveAll();
  };
}

std::string answerTo(Socket& client) {
  client.finishSending();
  return client.receiveAll();
}

}  // namespace

TEST_CASE("The address in a PROXY header is the client's, and what follows is its first byte", "[proxy_protocol]") {
  Server server(echo());
  Balancer balancer(reading(aRelay()).backend("a", server.address()));
  for (const auto& header : {kLine, kInet}) {
    const auto from = balancer.process().logSize();
    Socket client = balancer.connect();
    client.send(header + "hello");
    CHECK(answerTo(client) == "hello");
    CHECK(nextClient(balancer, from) == "203.0.113.7:4000");
  }
  CHECK(balancer.metric("lemonade_backend_bytes_total", {"direction=\"in\""}) == 10);
}

TEST_CASE("A PROXY header may come byte by byte", "[proxy_protocol]") {
  Server server(echo());
  Balancer balancer(reading(aRelay()).backend("a", server.address()));
  for (const auto& header : {kLine, kInet}) {
    const auto from = balancer.process().logSize();
    Socket client = balancer.connect();
    for (const char byte : header + "hello") client.send(std::string(1, byte));
    CHECK(answerTo(client) == "hello");
    CHECK(nextClient(balancer, from) == "203.0.113.7:4000");
  }
}

TEST_CASE("A backend that speaks first does so when the header is complete", "[proxy_protocol]") {
  Server server(named("a"));
  Balancer balancer(reading(aRelay()).backend("a", server.address()));
  Socket client = balancer.connect();
  client.send(kInet.substr(0, 20));
  CHECK(client.staysOpen(200ms));
  client.send(kInet.substr(20));
  CHECK(client.receiveLine() == "a");
}

TEST_CASE("LOCAL and UNKNOWN leave the address of the connection", "[proxy_protocol]") {
  Server server(echo());
  Balancer balancer(reading(aRelay()).backend("a", server.address()));
  for (const auto& header : {kLocal, "PROXY UNKNOWN\r\n"s}) {
    const auto from = balancer.process().logSize();
    Socket client = balancer.connect();
    client.send(header + "hello");
    CHECK(answerTo(client) == "hello");
    CHECK(nextClient(balancer, from) == client.localAddress());
  }
}

TEST_CASE("What is no PROXY header ends the connection, with its reason counted", "[proxy_protocol]") {
  Server server(named("a"));
  Balancer balancer(reading(aRelay()).backend("a", server.address()));
  const std::vector<std::string> wrong = {"GET / HTTP/1.1\r\n", "PROXY TCP4 1.1.1.1\r\n", kSignature + "\x11",
                                          "PROXY UNKNOWN" + std::string(100, ' ')};
  for (const auto& bytes : wrong) {
    Socket client = balancer.connect();
    client.send(bytes);
    CHECK(client.next() == End::kReset);
  }
  CHECK(eventually([&] { return refused(balancer, "malformed") == wrong.size(); }));
  { Socket::connect(balancer.address()).send("PROXY TCP4"); }
  CHECK(eventually([&] { return refused(balancer, "closed") == 1; }));
  CHECK(contains(balancer.process().waitForLog("a client was refused"), "no PROXY header"));
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
  CHECK(balancer.metric("lemonade_backend_sessions_total") == 0);
}

TEST_CASE("A PROXY header that does not come in time ends the connection", "[proxy_protocol]") {
  Server server(named("a"));
  Balancer balancer(reading(aRelay()).set("proxy.header_timeout", "300ms").backend("a", server.address()));
  Socket silent = balancer.connect(), slow = balancer.connect();
  slow.send(kLine.substr(0, 20));
  CHECK(silent.next(3s) == End::kReset);
  CHECK(slow.next(3s) == End::kReset);
  CHECK(refused(balancer, "timeout") == 2);
}

TEST_CASE("A client that is not trusted is reset, header or not", "[proxy_protocol]") {
  Server server(named("a"));
  Balancer balancer(reading("epoll").backend("a", server.address()));
  const auto end = [&] {
    try {
      return Socket::connect(balancer.address(), "127.0.0.2:0").next();
    } catch (const ResetError&) {
      return End::kReset;  // before the connect was seen to succeed
    }
  };
  CHECK(end() == End::kReset);
  CHECK(eventually([&] { return refused(balancer, "untrusted") == 1; }));
}

TEST_CASE("Only the versions that are asked for are taken", "[proxy_protocol]") {
  Server server(named("a"));
  Balancer balancer(reading("epoll", "v2").backend("a", server.address()));
  Socket first = balancer.connect(), second = balancer.connect();
  first.send(kLine);
  CHECK(first.next() == End::kReset);
  second.send(kInet);
  CHECK(second.receiveLine() == "a");
}

TEST_CASE("Backends are sent a header before the client's bytes", "[proxy_protocol]") {
  Server server(firstLine());
  const auto relay = aRelay();
  Balancer balancer(unwatched().set("proxy.relay", relay).set("proxy.send_proxy", "v1").backend("a", server.address()));
  Socket client = balancer.connect();
  client.send("hello");
  const auto own = [](const std::string& address) { return std::to_string(portOf(address)); };
  CHECK(client.receiveLine() + "\n" ==
        "PROXY TCP4 127.0.0.1 127.0.0.1 " + own(client.localAddress()) + " " + own(balancer.address()) + "\r\n");
  client.finishSending();
  CHECK(client.receiveAll().empty());
  CHECK(eventually([&] { return balancer.metric("lemonade_backend_bytes_total", {"direction=\"in\""}) == 5; }));
}

TEST_CASE("A header that comes in goes out again", "[proxy_protocol]") {
  Server server(firstLine());
  const auto relay = aRelay();
  Balancer balancer(reading(relay).set("proxy.send_proxy", "v1").backend("a", server.address()));
  Socket client = balancer.connect();
  client.send(kInet + "hello");
  CHECK(answerTo(client) == kLine);
  (void)reload(balancer, reading(relay).set("proxy.send_proxy", "v2").backend("a", server.address()));
  Socket second = balancer.connect();
  second.send(kLine + "hello");
  CHECK(answerTo(second) == kInet);
}

TEST_CASE("nginx in front names the client", "[proxy_protocol]") {
  const TemporaryFolder folder;
  Server server(echo());
  Balancer balancer(reading(aRelay()).backend("a", server.address()));
  const auto front = freeAddress();
  const Program nginx(folder, "nginx",
                      kNginx + "stream { server { listen "s + front + "; proxy_pass " + balancer.address() +
                          "; proxy_protocol on; } }\n",
                      front);
  Socket client = Socket::connect(front, "127.0.0.3:0");
  client.send("hello");
  CHECK(client.receive(5) == "hello");  // nginx takes a half-close for a close
  const auto own = client.localAddress();
  client.close();
  CHECK(eventually([&] { return contains(balancer.process().err(), "client=" + own); }));
}

TEST_CASE("HAProxy in front names the client, and its checks pass", "[proxy_protocol]") {
  const TemporaryFolder folder;
  Server server(echo());
  Balancer balancer(reading(aRelay()).backend("a", server.address()));
  const auto front = freeAddress();
  const auto how = GENERATE(as<std::string>{}, "send-proxy", "send-proxy-v2");
  const Program haproxy(folder, "haproxy",
                        kHaproxy + "listen front\n  bind "s + front + "\n  server lb " + balancer.address() + " " +
                            how + " check inter 100ms\n",
                        front);
  Socket client = Socket::connect(front, "127.0.0.3:0");
  client.send("hello");
  CHECK(answerTo(client) == "hello");
  CHECK(eventually([&] { return contains(balancer.process().err(), "client=" + client.localAddress()); }));
  CHECK(refused(balancer, "malformed") == 0);
}

TEST_CASE("nginx behind learns the client, and checks of it pass", "[proxy_protocol]") {
  const TemporaryFolder folder;
  const auto behind = freeAddress();
  const Program nginx(
      folder, "nginx",
      kNginxHttp + "server { listen "s + behind +
          " proxy_protocol; location / { return 200 '$proxy_protocol_addr:$proxy_protocol_port'; } } }\n",
      behind);
  const auto version = GENERATE(as<std::string>{}, "v1", "v2");
  Balancer balancer(unwatched()
                        .realChecks()
                        .set("health.checker", "http")
                        .set("proxy.relay", aRelay())
                        .set("proxy.send_proxy", version)
                        .backend("nginx", behind));
  Socket client = Socket::connect(balancer.address(), "127.0.0.3:0");
  client.send("GET / HTTP/1.0\r\n\r\n");
  CHECK_THAT(client.receiveAll(), Catch::EndsWith(client.localAddress()));
  CHECK(eventually([&] { return balancer.metric("lemonade_health_checks_total") > 2; }));
  CHECK(balancer.metric("lemonade_backend_up") == 1);
}

TEST_CASE("HAProxy behind learns the client", "[proxy_protocol]") {
  const TemporaryFolder folder;
  const auto behind = freeAddress();
  const Program haproxy(folder, "haproxy",
                        kHaproxy + "frontend behind\n  mode http\n  bind "s + behind +
                            " accept-proxy\n  http-request return status 200 content-type text/plain lf-string "
                            "\"%[src]:%[src_port]\"\n",
                        behind);
  const auto version = GENERATE(as<std::string>{}, "v1", "v2");
  Balancer balancer(unwatched().set("proxy.relay", aRelay()).set("proxy.send_proxy", version).backend("a", behind));
  Socket client = Socket::connect(balancer.address(), "127.0.0.3:0");
  client.send("GET / HTTP/1.0\r\n\r\n");
  CHECK_THAT(client.receiveAll(), Catch::Contains(client.localAddress()));
}

TEST_CASE("A reload turns headers on and off, and no client that follows it fails", "[proxy_protocol][reload]") {
  Server server(echo());
  const auto relay = aRelay();
  const auto plain = unwatched().set("proxy.relay", relay).backend("a", server.address());
  const auto expecting = reading(relay).backend("a", server.address());
  Balancer balancer(plain);
  for (int i = 0; i < 5; ++i) {
    for (const bool on : {true, false}) {
      // These came before the reload, and go on as they began.
      Socket before = balancer.connect();
      before.send((on ? ""s : kLine) + "one");
      REQUIRE(before.receive(3) == "one");
      (void)reload(balancer, on ? expecting : plain);
      Socket after = balancer.connect();
      after.send((on ? kLine : ""s) + "two");
      CHECK(after.receive(3) == "two");
      before.send("three");
      CHECK(before.receive(5) == "three");
    }
  }
  CHECK(refused(balancer, "malformed") == 0);
}

TEST_CASE("Backends are connected to from the source address of the pool", "[source_address]") {
  Server server([&](Socket& socket) { socket.send(socket.peerAddress() + "\n"); });
  Balancer balancer(
      unwatched().set("proxy.relay", aRelay()).set("proxy.source_address", "127.0.0.9").backend("a", server.address()));
  CHECK_THAT(balancer.connect().receiveLine(), Catch::StartsWith("127.0.0.9:"));
}

TEST_CASE("Checks go to the port that they have", "[health]") {
  Server clients(named("a")), checks(http("checks"));
  Balancer balancer(unwatched()
                        .realChecks()
                        .set("health.checker", "http")
                        .set("health.port", int(portOf(checks.address())))
                        .backend("a", clients.address()));
  CHECK(balancer.ask() == "a");
  CHECK(eventually([&] { return checks.accepted() > 1; }));
  CHECK(balancer.metric("lemonade_backend_up") == 1);
}

TEST_CASE("The example of a balancer behind another one serves behind HAProxy and at its Unix socket",
          "[proxy_protocol][examples]") {
  const TemporaryFolder folder;
  Server server(firstLine());
  std::ifstream file(std::string(LEMONADE_SOURCE_DIR) + "/config/examples/behind-a-proxy.toml");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto own = "unix:" + (folder.path() / "web.sock").string();
  for (const auto& [from, to] : {std::pair("0.0.0.0:8080"s, "127.0.0.1:0"s), std::pair("10.0.0.0/24"s, "127.0.0.1"s),
                                 std::pair("unix:/run/lemonade/web.sock"s, own), std::pair("\"http\""s, "\"tcp\""s),
                                 std::pair("10.0.1.[10-12]:8080"s, server.address())}) {
    REQUIRE(contains(text, from));
    text.replace(text.find(from), from.size(), to);
  }
  Process balancer(lemonade({"lb", "--config", folder.write("lb.toml", text + "\n[admin]\nlisten_address = \"\"\n")}),
                   {{"LEMONADE_LB_SUPERVISOR", "off"}});
  const auto address = field(balancer.waitForLog("listening", 20s), "address");
  const auto front = freeAddress();
  const Program haproxy(folder, "haproxy",
                        kHaproxy + "listen front\n  bind "s + front + "\n  server lb " + address + " send-proxy-v2\n",
                        front);
  Socket client = Socket::connect(front, "127.0.0.3:0");
  client.send("hello");
  const auto header = answerTo(client);
  CHECK(header.substr(0, 14) == kInet.substr(0, 14));
  CHECK(header.substr(16, 4) == "\x7f\0\0\3"s);
  balancer.signal(SIGTERM);
  CHECK(balancer.wait(20s) == 0);
}

TEST_CASE("PROXY headers need a list of those who are trusted", "[proxy_protocol]") {
  const TemporaryFolder folder;
  const auto file =
      folder.write("lb.toml", Config().set("proxy.accept_proxy", "v1").backend("a", "127.0.0.1:1").text());
  const auto outcome = run(lemonade({"lb", "--validate", "--config", file}));
  CHECK(outcome.code != 0);
  CHECK(contains(outcome.err, "trusted"));
}

}  // namespace lemonade::test
