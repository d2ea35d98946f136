// SPDX-License-Identifier: MIT
//
// Unix sockets on either side of the balancer, over both relays.
#include "e2e/access_logged.h"
#include "e2e/reloading.h"
#include "e2e/supervised.h"
#include "support/balancer.h"
#include "support/server.h"
#include "support/skip.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

/// The address of the balancer's socket, in a folder of the test.
std::string socketIn(const TemporaryFolder& folder, const std::string& name = "lb.sock") {
  return "unix:" + (folder.path() / name).string();
}

std::string pathOf(const std::string& address) { return address.substr(std::string("unix:").size()); }

/// A client of a Unix socket; without a descriptor where nobody listens.
Socket connectTo(const std::string& address) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  pathOf(address).copy(name.sun_path, sizeof(name.sun_path) - 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) return Socket();
  return Socket(std::move(fd));
}

std::string fetch(const std::string& address) {
  return run({"curl", "-sS", "--max-time", "10", "--unix-socket", pathOf(address), "http://localhost/"}).out;
}

Config over(const std::string& relay) { return unwatched().set("proxy.relay", relay); }

std::string aRelay() { return GENERATE(as<std::string>{}, "epoll", "io_uring"); }

/// nginx that answers "from nginx" at a Unix socket.
class Nginx {
 public:
  explicit Nginx(const TemporaryFolder& folder) : address_(socketIn(folder, "nginx.sock")) {
    const auto root = folder.path().string();
    const auto file = folder.write(
        "nginx.conf", "daemon off; master_process off; pid " + root +
                          "/nginx.pid; error_log stderr; events {}\n"
                          "http { access_log off; client_body_temp_path " +
                          root + "/body; proxy_temp_path " + root + "/proxy; fastcgi_temp_path " + root +
                          "/fastcgi; uwsgi_temp_path " + root + "/uwsgi; scgi_temp_path " + root +
                          "/scgi;\n  server { listen " + address_ + "; location / { return 200 'from nginx'; } } }\n");
    process_ = std::make_unique<Process>(Arguments{"nginx", "-p", root, "-c", file});
    REQUIRE(eventually([&] { return connectTo(address_).fd() >= 0; }));
  }
  ~Nginx() {
    process_->signal(SIGTERM);
    CHECK(process_->wait() == 0);
  }
  const std::string& address() const { return address_; }

 private:
  std::string address_;
  std::unique_ptr<Process> process_;
};

}  // namespace

TEST_CASE("curl reaches nginx over two Unix sockets, and checks pass there", "[unix]") {
  if (!installed("nginx")) skip("nginx is not installed");
  const TemporaryFolder folder;
  const Nginx nginx(folder);
  const auto listen = socketIn(folder);
  const AccessLogFile file;
  Balancer balancer(logged(over(aRelay()), file)
                        .realChecks()
                        .set("health.checker", "http")
                        .set("proxy.listen_address", listen)
                        .backend("nginx", nginx.address()));
  for (int i = 0; i < 3; ++i) CHECK(fetch(listen) == "from nginx");
  CHECK(eventually([&] { return balancer.metric("lemonade_health_checks_total") > 1; }));
  CHECK(balancer.metric("lemonade_backend_up") == 1);
  CHECK(balancer.backend("nginx")->getValue<std::string>("address") == nginx.address());
  CHECK(contains(balancer.process().waitForLog("reason=done"), "client=unix:"));
  for (const auto& line : file.await(3)) CHECK(contains(line, R"("bytes_in_acked":null)"));
}

TEST_CASE("Clients of a Unix socket that close after their request have it delivered", "[unix]") {
  const TemporaryFolder folder;
  std::string got;
  std::mutex mutex;
  Server server([&](Socket& socket) {
    const auto all = socket.receiveAll();
    const std::lock_guard lock(mutex);
    got += all;
  });
  const auto listen = socketIn(folder);
  Balancer balancer(over(aRelay()).set("proxy.listen_address", listen).backend("a", server.address()));
  for (int i = 0; i < 20; ++i) {
    auto client = connectTo(listen);
    client.send("x");
  }
  CHECK(eventually([&] {
    const std::lock_guard lock(mutex);
    return got == std::string(20, 'x');
  }));
}

TEST_CASE("The file of a Unix socket is gone after a clean stop", "[unix]") {
  const TemporaryFolder folder;
  const auto listen = socketIn(folder);
  Server server(named("a"));
  {
    Balancer balancer(unwatched().set("proxy.listen_address", listen).backend("a", server.address()));
    CHECK(connectTo(listen).receiveLine() == "a");
  }
  CHECK_FALSE(fs::exists(pathOf(listen)));
}

TEST_CASE("A file that a killed balancer left behind is replaced, and one that is served is not", "[unix]") {
  const TemporaryFolder folder;
  const auto listen = socketIn(folder);
  Server server(named("a"));
  const auto config = unwatched().set("proxy.listen_address", listen).backend("a", server.address());
  const auto file = folder.write("lb.toml", config.text());
  const Environment alone{{"LEMONADE_LB_SUPERVISOR", "off"}};
  {
    Process killed(lemonade({"lb", "--config", file}), alone);
    REQUIRE(eventually([&] { return connectTo(listen).fd() >= 0; }));
    killed.signal(SIGKILL);
    REQUIRE(killed.wait());
  }
  REQUIRE(fs::is_socket(pathOf(listen)));
  Balancer balancer(config);
  CHECK(connectTo(listen).receiveLine() == "a");
  const auto second = run(lemonade({"lb", "--config", file}), alone);
  CHECK(second.code != 0);
  CHECK(contains(second.err, "another program listens there"));
  CHECK(connectTo(listen).receiveLine() == "a");
}

TEST_CASE("A reload adds and removes Unix sockets, and keeps those that stay", "[unix][reload]") {
  const TemporaryFolder folder;
  const auto one = socketIn(folder, "one.sock"), two = socketIn(folder, "two.sock");
  Server server(named("a"));
  const auto listening = [&](const std::string& list) {
    return unwatched().raw("proxy.listen_address", list).backend("a", server.address());
  };
  Balancer balancer(listening("[\"" + one + "\"]"));
  struct stat before {
  }, after{};
  REQUIRE(::stat(pathOf(one).c_str(), &before) == 0);
  (void)reload(balancer, listening("[\"" + one + "\", \"" + two + "\"]"));
  CHECK(connectTo(two).receiveLine() == "a");
  (void)reload(balancer, listening("[\"" + one + "\"]"));
  CHECK(eventually([&] { return !fs::exists(pathOf(two)); }));
  REQUIRE(::stat(pathOf(one).c_str(), &after) == 0);
  CHECK(before.st_ino == after.st_ino);
  CHECK(connectTo(one).receiveLine() == "a");
}

TEST_CASE("An upgrade keeps the Unix socket, and the last process removes it", "[unix][upgrade]") {
  const TemporaryFolder folder;
  const auto listen = socketIn(folder);
  Server server(named("a"));
  {
    Balancer balancer(supervised().set("proxy.listen_address", listen).backend("a", server.address()), kSupervised);
    struct stat before {
    }, after{};
    REQUIRE(::stat(pathOf(listen).c_str(), &before) == 0);
    upgrade(balancer);
    CHECK(connectTo(listen).receiveLine() == "a");
    CHECK(eventually([&] { return balancer.process().countLog("stopped") > 0; }));
    REQUIRE(::stat(pathOf(listen).c_str(), &after) == 0);
    CHECK(before.st_ino == after.st_ino);
    CHECK(connectTo(listen).receiveLine() == "a");
  }
  CHECK_FALSE(fs::exists(pathOf(listen)));
}

TEST_CASE("A backend at a Unix socket whose queue is full is one that fails a connect", "[unix]") {
  const TemporaryFolder folder;
  const auto full = socketIn(folder, "full.sock");
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  pathOf(full).copy(name.sun_path, sizeof(name.sun_path) - 1);
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0);
  REQUIRE(::listen(listener.get(), 0) == 0);
  const Socket filler = connectTo(full);
  Server server(named("a"));
  Balancer balancer(over(aRelay()).backend("full", full).backend("a", server.address()));
  for (int i = 0; i < 4; ++i) CHECK(balancer.ask() == "a");
  CHECK(balancer.metric("lemonade_proxy_retries_total") >= 1);
}

TEST_CASE("A listener at a Unix socket is no backend of the same balancer", "[unix]") {
  const TemporaryFolder folder;
  const auto listen = socketIn(folder);
  const auto file = folder.write("lb.toml", Config().set("proxy.listen_address", listen).backend("a", listen).text());
  const auto outcome = run(lemonade({"lb", "--validate", "--config", file}));
  CHECK(outcome.code == 0);
  CHECK(contains(outcome.err, "is one of our own listeners"));
}

}  // namespace lemonade::test
