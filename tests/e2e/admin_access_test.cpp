// SPDX-License-Identifier: MIT
//
// Who may change something through the admin listener, and the Unix socket at which it answers, too.
#include "e2e/reloading.h"
#include "e2e/supervised.h"
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"
#include "support/skip.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Parser.h>
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <string>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

const std::string kToken = "0123456789abcdef0123456789abcdef";
const std::string kOtherToken = "fedcba9876543210fedcba9876543210";

struct Curled {
  int status = 0;
  std::string body;
};

/// What curl says of one request; more are further arguments.
Curled curl(const Arguments& more) {
  Arguments arguments{"curl", "-sS", "--max-time", "30", "-w", "\n%{http_code}"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto outcome = run(arguments, {}, 60s);
  const auto line = outcome.out.rfind('\n');
  if (outcome.code != 0 || line == std::string::npos) return {0, outcome.err};
  return {std::stoi(outcome.out.substr(line + 1)), outcome.out.substr(0, line)};
}

std::string urlOf(const std::string& host, Balancer& balancer, const std::string& path) {
  const auto address = balancer.adminAddress();
  return "http://" + host + address.substr(address.rfind(':')) + path;
}

/// An IPv4 address of this machine that is not the loopback: from there a client seems to come from elsewhere.
std::string ownAddress() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return "";
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(first, ::freeifaddrs);
  for (const auto* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    char text[INET_ADDRSTRLEN];
    const auto& address = reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr;
    if (ntohl(address.s_addr) >> 24 != IN_LOOPBACKNET && ::inet_ntop(AF_INET, &address, text, sizeof(text)) != nullptr)
      return text;
  }
  return "";
}

std::string requireOwnAddress() {
  auto address = ownAddress();
  if (address.empty()) skip("this machine has no address but the loopback");
  return address;
}

Config onAllAddresses() { return watched().set("admin.listen_address", "0.0.0.0:0"); }

Curled fromElsewhere(const std::string& host, Balancer& balancer, const std::string& token = "") {
  Arguments arguments{"-X", "POST", urlOf(host, balancer, "/api/v1/reload")};
  if (!token.empty()) arguments.insert(arguments.end(), {"-H", "Authorization: Bearer " + token});
  return curl(arguments);
}

std::string socketPathIn(const TemporaryFolder& folder) { return (folder.path() / "admin.sock").string(); }

Curled overSocket(const std::string& path, const std::string& target, const std::string& method = "GET") {
  return curl({"--unix-socket", path, "-X", method, "http://localhost" + target});
}

}  // namespace

TEST_CASE("Other machines read and change nothing while there is no token file", "[admin][access]") {
  const auto host = requireOwnAddress();
  Server server(named("a"));
  Balancer balancer(onAllAddresses().backend("a", server.address()));
  for (const char* path : {"/metrics", "/healthz", "/readyz", "/api/v1/status", "/api/v1/config"}) {
    CAPTURE(path);
    CHECK(curl({urlOf(host, balancer, path)}).status == 200);
  }
  const auto refused = fromElsewhere(host, balancer);
  CHECK(refused.status == 403);
  CHECK(contains(refused.body, "token_file in [admin]"));
  CHECK(curl({"-X", "POST", urlOf(host, balancer, "/api/v1/reload")}).status == 403);
  CHECK(curl({"-X", "POST", urlOf("127.0.0.1", balancer, "/api/v1/reload")}).status == 200);
  const auto line = balancer.process().waitForLog("a request was refused");
  CHECK(contains(line, "by=" + host + ":"));
}

TEST_CASE("A token of the file lets another machine change something and its name is in the log", "[admin][access]") {
  const auto host = requireOwnAddress();
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto file = folder.write("tokens", "# of tests\nci: " + kToken + "\n");
  fs::permissions(file, fs::perms(0600));
  Balancer balancer(onAllAddresses().set("admin.token_file", file).backend("a", server.address()));
  CHECK(fromElsewhere(host, balancer).status == 401);
  CHECK(fromElsewhere(host, balancer, kOtherToken).status == 401);
  CHECK(fromElsewhere(host, balancer, kToken).status == 200);
  const auto line = balancer.process().waitForLog("a change was asked for");
  CHECK(contains(line, "POST /api/v1/reload"));
  CHECK(contains(line, "by=\"" + host + ":"));
  CHECK(contains(line, "token=ci"));
  CHECK(field(line, "status") == "200");
  CHECK(balancer.process().countLog(kToken) == 0);
  CHECK(curl({urlOf(host, balancer, "/metrics")}).status == 200);
}

TEST_CASE("Tokens are read again when their file changes and go with it", "[admin][access]") {
  const auto host = requireOwnAddress();
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto file = folder.write("tokens", kToken + "\n");
  fs::permissions(file, fs::perms(0600));
  Balancer balancer(onAllAddresses().set("admin.token_file", file).backend("a", server.address()));
  REQUIRE(fromElsewhere(host, balancer, kToken).status == 200);
  folder.write("tokens", kOtherToken + "\n");
  CHECK(eventually([&] { return fromElsewhere(host, balancer, kOtherToken).status == 200; }));
  CHECK(fromElsewhere(host, balancer, kToken).status == 401);
  fs::remove(file);
  CHECK(eventually([&] { return fromElsewhere(host, balancer, kOtherToken).status == 401; }));
  CHECK(contains(balancer.process().waitForLog("token file"), "nobody has a token until it can be read"));
  folder.write("tokens", kToken + "\n");
  CHECK(eventually([&] { return fromElsewhere(host, balancer, kToken).status == 200; }));
  CHECK(contains(balancer.process().waitForLog("chmod 0600"), "may be read by every user"));
}

TEST_CASE("A reload brings a token file and another one", "[admin][access]") {
  const auto host = requireOwnAddress();
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto one = folder.write("one", kToken + "\n"), other = folder.write("other", kOtherToken + "\n");
  auto config = onAllAddresses().backend("a", server.address());
  Balancer balancer(config);
  CHECK(fromElsewhere(host, balancer, kToken).status == 403);
  (void)reload(balancer, config.set("admin.token_file", one));
  CHECK(fromElsewhere(host, balancer, kToken).status == 200);
  (void)reload(balancer, config.set("admin.token_file", other));
  CHECK(fromElsewhere(host, balancer, kToken).status == 401);
  CHECK(fromElsewhere(host, balancer, kOtherToken).status == 200);
}

TEST_CASE("A token file that is missing or wrong is a warning and no reason not to start", "[admin][access]") {
  const TemporaryFolder folder;
  const auto file = folder.write("tokens", "short\n");
  const auto validate = [&](const std::string& tokens) {
    return run(lemonade({"lb", "--validate", "--config",
                         folder.write("lemonade.toml", "[admin]\ntoken_file = \"" + tokens +
                                                           "\"\n[[backends]]\naddress = \"127.0.0.1:1\"\n")}));
  };
  const auto missing = validate("nowhere");
  CHECK(missing.code == 0);
  CHECK(contains(missing.err, "lemonade.toml:2:14: warning: token file " + (folder.path() / "nowhere").string()));
  const auto wrong = validate(file);
  CHECK(wrong.code == 0);
  CHECK(contains(wrong.err, "line 1, is passed over"));
  CHECK(contains(wrong.err, "openssl rand -hex 32"));
}

TEST_CASE("With token_required always this machine needs a token as well and the socket does not", "[admin][access]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto socket = socketPathIn(folder);
  Balancer balancer(watched()
                        .set("admin.socket", socket)
                        .set("admin.token_file", folder.write("tokens", kToken + "\n"))
                        .set("admin.token_required", "always")
                        .backend("a", server.address()));
  CHECK(fromElsewhere("127.0.0.1", balancer).status == 401);
  CHECK(fromElsewhere("127.0.0.1", balancer, kToken).status == 200);
  CHECK(overSocket(socket, "/api/v1/reload", "POST").status == 200);
}

TEST_CASE("A page in a browser of this machine changes nothing", "[admin][access]") {
  Server server(named("a"));
  Balancer balancer(watched().backend("a", server.address()));
  CHECK(curl({"-X", "POST", "-H", "Origin: http://evil.example", urlOf("127.0.0.1", balancer, "/api/v1/reload")})
            .status == 403);
  CHECK(curl({"-X", "POST", "-H", "Host: evil.example", urlOf("127.0.0.1", balancer, "/api/v1/reload")}).status == 403);
}

TEST_CASE("The admin socket answers whom its file lets in and says who changed something", "[admin][access]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto socket = socketPathIn(folder);
  {
    Balancer balancer(watched().set("admin.socket", socket).backend("a", server.address()));
    struct stat status {};
    REQUIRE(::stat(socket.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK(contains(overSocket(socket, "/api/v1/status").body, "\"version\""));
    CHECK(overSocket(socket, "/api/v1/reload", "POST").status == 200);
    const auto line = balancer.process().waitForLog("a change was asked for");
    CHECK(contains(line, "by=\"unix:uid=" + std::to_string(::getuid()) + " pid="));
    const auto reloaded = watched()
                              .set("admin.socket", socket)
                              .set("admin.socket_mode", "0660")
                              .set("admin.listen_address", "")
                              .backend("a", server.address());
    write(balancer, reloaded);
    CHECK(overSocket(socket, "/api/v1/reload", "POST").status == 200);  // whose answer comes by a socket that stays
    REQUIRE(::stat(socket.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0660);
    CHECK(eventually([&] { return isRefused(balancer.adminAddress()); }));
    CHECK(overSocket(socket, "/healthz").body == "ok\n");
  }
  CHECK_FALSE(fs::exists(socket));
}

TEST_CASE("A balancer that was killed leaves a socket that the next replaces and one that serves keeps its own",
          "[admin][access]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto socket = socketPathIn(folder);
  const auto config = watched().set("admin.socket", socket).backend("a", server.address());
  const auto file = folder.write("lb.toml", config.text());
  const Environment alone{{"LEMONADE_LB_SUPERVISOR", "off"}};
  {
    Process killed(lemonade({"lb", "--config", file}), alone);
    waitUntilReady(killed);
    killed.signal(SIGKILL);
    REQUIRE(killed.wait());
  }
  REQUIRE(fs::is_socket(socket));
  Balancer balancer(config);
  CHECK(overSocket(socket, "/healthz").body == "ok\n");
  const auto second = run(lemonade({"lb", "--config", file}), alone);
  CHECK(second.code == 2);
  CHECK(contains(second.err, "another program listens there"));
  CHECK(overSocket(socket, "/healthz").body == "ok\n");
}

TEST_CASE("Without a path the socket is where the service manager has made a folder", "[admin][access]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const Environment environment{{"RUNTIME_DIRECTORY", folder.path().string()}};
  const auto config = watched().unset("admin.socket").backend("a", server.address());
  Balancer balancer(config, environment);
  CHECK(overSocket(socketPathIn(folder), "/healthz").body == "ok\n");
  Balancer second(config, environment);  // which does without
  CHECK(contains(second.process().waitForLog("no Unix socket"), "another program listens there"));
  CHECK(second.admin("/healthz").status == 200);
  const auto no_folder = folder.write("file", "");
  Balancer third(config, {{"RUNTIME_DIRECTORY", no_folder}});
  CHECK(contains(third.process().waitForLog("no Unix socket"), "there is no " + no_folder));
  (void)reload(second, Config(config).set("admin.socket", (folder.path() / "other.sock").string()));
  CHECK(overSocket((folder.path() / "other.sock").string(), "/healthz").body == "ok\n");
}

TEST_CASE("The admin socket is there all through an upgrade and afterwards belongs to the next process",
          "[admin][access][upgrade]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto socket = socketPathIn(folder);
  Balancer balancer(supervised().set("admin.socket", socket).backend("a", server.address()), kSupervised);
  struct stat before {};
  REQUIRE(::stat(socket.c_str(), &before) == 0);
  const auto old = servingPid(balancer);
  balancer.process().signal(SIGUSR2);
  REQUIRE(eventually([&] {
    const auto answer = overSocket(socket, "/api/v1/status");
    REQUIRE(answer.status == 200);  // never refused
    const auto status = Poco::JSON::Parser().parse(answer.body).extract<Poco::JSON::Object::Ptr>();
    return status->getValue<int>("pid") != old;
  }));
  REQUIRE(eventually([&] { return !isAlive(old); }));
  struct stat after {};
  REQUIRE(::stat(socket.c_str(), &after) == 0);
  CHECK(after.st_ino == before.st_ino);
  CHECK(overSocket(socket, "/healthz").body == "ok\n");
  CHECK(balancer.stop() == 0);
  CHECK_FALSE(fs::exists(socket));
}

TEST_CASE("A socket without a path or with an abstract name is refused and the mend named", "[admin][access]") {
  const TemporaryFolder folder;
  for (const std::string socket : {"admin.sock", "@admin", "unix:/run/a.sock", "/"}) {
    const auto outcome =
        run(lemonade({"lb", "--validate", "--config",
                      folder.write("lemonade.toml", "[admin]\nsocket = \"" + socket +
                                                        "\"\n[[backends]]\naddress = \"127.0.0.1:1\"\n")}));
    CAPTURE(socket);
    CHECK(outcome.code == 1);
    CHECK(contains(outcome.err, "lemonade.toml:2:10: admin.socket"));
    CHECK(contains(outcome.err, "/run/lemonade/admin.sock"));
  }
}

}  // namespace lemonade::test
