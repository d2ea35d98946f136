// SPDX-License-Identifier: MIT
//
// The sockets of the admin server: of TCP, and Unix sockets with their files.
#include "admin/listening_socket.h"

#include "admin/peer.h"
#include "client.h"

#include "support/deadline.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <future>
#include <string>

using namespace lemonade;
using namespace lemonade::admin;
namespace fs = std::filesystem;

namespace {

/// A folder that is gone at the end of the test.
class Folder {
 public:
  Folder() {
    std::string path = fs::temp_directory_path() / "lemonade-admin-XXXXXX";
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~Folder() { fs::remove_all(path_); }
  std::string socket() const { return path_ / "admin.sock"; }

 private:
  fs::path path_;
};

ListeningSocket::Shared socketAt(const std::string& address, mode_t mode = 0600) {
  InheritedDescriptors none;
  UnixAccess access;
  access.mode = mode;
  auto opened = ListeningSocket::open(Address::parse(address).value(), access, none);
  INFO((opened ? "" : opened.error().message));
  REQUIRE(opened);
  return std::move(opened).value();
}

/// Every byte that is answered at a Unix socket; "refused" where nobody listens.
std::string askUnix(const std::string& path, const std::string& request) {
  const auto to = Address::parse("unix:" + path).value();
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), to.get(), to.size()) != 0) return "refused";
  sendAll(fd, request);
  return readAll(fd);
}

const std::string kGet = "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const std::string kPost = "POST /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

}  // namespace

TEST_CASE("One server answers at a Unix socket and over TCP", "[admin]") {
  const Folder folder;
  Server server;
  server.handle("GET", "/hello", Prompt{hello});
  REQUIRE(server.start({socketAt("127.0.0.1:0"), socketAt("unix:" + folder.socket())}).ok());
  CHECK(bodyOf(askUnix(folder.socket(), kGet)) == "hello");
  CHECK(bodyOf(get(server, "/hello")) == "hello");
  CHECK(server.sockets().back()->text() == "unix:" + folder.socket());
}

TEST_CASE("A handler is told who asks over each of them", "[admin]") {
  const Folder folder;
  Server server;
  std::string by;
  server.handle("POST", "/who", Prompt{[&](const Request& request) {
                  by = request.by;
                  return Response{};
                }});
  REQUIRE(server.start({socketAt("127.0.0.1:0"), socketAt("unix:" + folder.socket())}).ok());
  (void)askUnix(folder.socket(), kPost);
  CHECK(by == "unix:uid=" + std::to_string(::getuid()) + " pid=" + std::to_string(::getpid()));
  (void)ask(server, kPost);
  CHECK_THAT(by, Catch::StartsWith("127.0.0.1:"));
}

TEST_CASE("The file of a Unix socket has its mode and is gone with the last use of it", "[admin]") {
  const Folder folder;
  Server server;
  server.handle("GET", "/hello", Prompt{hello});
  auto socket = socketAt("unix:" + folder.socket(), 0640);
  struct stat status {};
  REQUIRE(::stat(folder.socket().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
  REQUIRE(server.start({std::move(socket)}).ok());
  CHECK(bodyOf(askUnix(folder.socket(), kGet)) == "hello");
  REQUIRE(server.stop(std::chrono::seconds(10)));
  // The thread that served it lets go of it as the last one.
  CHECK(test::eventually([&] { return !fs::exists(folder.socket()); }));
}

TEST_CASE("A socket whose name was left keeps its file", "[admin]") {
  const Folder folder;
  {
    const auto socket = socketAt("unix:" + folder.socket());
    CHECK(std::string(socket->handedAs()) == "unix");
    socket->leaveName();
  }
  CHECK(fs::exists(folder.socket()));
}

TEST_CASE("A server changes its sockets while it runs and serves who is there to the end", "[admin]") {
  const Folder folder;
  Server server;
  server.handle("GET", "/hello", Prompt{hello});
  const auto tcp = socketAt("127.0.0.1:0");
  REQUIRE(server.start({tcp, socketAt("unix:" + folder.socket())}).ok());
  const auto to = Address::parse("unix:" + folder.socket()).value();
  const Fd early(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(early.get(), to.get(), to.size()) == 0);
  sendAll(early, "GET /hello HTTP/1.1\r\n");
  CHECK(bodyOf(askUnix(folder.socket(), kGet)) == "hello");  // so the one before has been accepted
  server.use({tcp});
  CHECK(bodyOf(get(server, "/hello")) == "hello");  // behind which the change has been made
  CHECK(askUnix(folder.socket(), kGet) == "refused");
  sendAll(early, "Host: localhost\r\nConnection: close\r\n\r\n");
  CHECK(bodyOf(readAll(early)) == "hello");
  server.use({socketAt("unix:" + folder.socket())});
  CHECK(bodyOf(askUnix(folder.socket(), kGet)) == "hello");
}

TEST_CASE("An address that is taken is named with the mend", "[admin]") {
  const auto one = socketAt("127.0.0.1:0");
  InheritedDescriptors none;
  const auto other = ListeningSocket::open(Address::parse(one->text()).value(), {}, none);
  REQUIRE_FALSE(other);
  CHECK_THAT(other.error().message, Catch::Contains(one->text()) && Catch::Contains("another program listens there"));
}

TEST_CASE("Who comes over loopback is told from others", "[admin]") {
  const auto listener = socketAt("[::]:0");
  const auto port = listener->text().substr(listener->text().rfind(':'));
  for (const std::string host : {"127.0.0.1", "[::1]"}) {
    const auto client = connectTo(host + port);
    const Fd accepted(::accept4(listener->fd(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(accepted);
    CAPTURE(host);
    CHECK(peerOf(accepted.get()).from == Peer::From::kLoopback);
  }
  CHECK(peerOf(-1).from == Peer::From::kElsewhere);
}

TEST_CASE("What may change something is done for each who asks and what reads is not mistaken for it", "[admin]") {
  Server server;
  Gate gate;
  std::atomic<int> told = 0, asked = 0;
  server.handle("POST", "/level", Slow{[&](const Request&) {
                  gate.pass();
                  ++told;
                  return Response{};
                }});
  server.handle("GET", "/level", Slow{[&](const Request&) {
                  ++asked;
                  return Response{.body = "{}"};
                }});
  REQUIRE(server.start("127.0.0.1:0").ok());
  std::vector<std::future<std::string>> posts;
  for (int i = 0; i < 3; ++i)
    posts.push_back(std::async(std::launch::async, [&] { return get(server, "/level", "POST"); }));
  REQUIRE(gate.awaitWaiting(1));
  CHECK(bodyOf(get(server, "/level")) == "{}");  // while the other waits
  gate.release();
  for (auto& post : posts) CHECK(statusOf(post.get()) == "HTTP/1.1 200 OK");
  CHECK(told == 3);
  CHECK(asked == 1);
}
