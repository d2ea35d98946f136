// SPDX-License-Identifier: MIT
#include "balance/unix_name.h"

#include "base/fd.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

using lemonade::Address;
using lemonade::Fd;
using lemonade::setOwner;
using lemonade::UnixAccess;
using lemonade::UnixName;
namespace fs = std::filesystem;

namespace {

/// A folder that is gone at the end of the test.
class Folder {
 public:
  Folder() {
    std::string path = fs::temp_directory_path() / "lemonade-unix-XXXXXX";
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~Folder() { fs::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

Fd unixSocket() { return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

Address named(const std::string& path) { return Address::parse("unix:" + path).value(); }

/// A socket that listens, with its name.
struct Listening {
  explicit Listening(const std::string& path, const UnixAccess& access = {}) : fd(unixSocket()) {
    auto bound = UnixName::bind(fd.get(), named(path), 8, access);
    if (bound)
      name = std::move(bound).value();
    else
      problem = bound.error().message;
  }

  Fd fd;
  std::optional<UnixName> name;
  std::string problem;
};

bool answers(const std::string& path) {
  const Fd client = unixSocket();
  const auto address = named(path);
  return ::connect(client.get(), address.get(), address.size()) == 0;
}

struct stat statusOf(const std::string& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status;
}

}  // namespace

TEST_CASE("UnixName binds and listens, and removes the file in the end", "[balance][unix]") {
  const Folder folder;
  const auto path = folder.file("a.sock");
  {
    const Listening listening(path);
    REQUIRE(listening.problem.empty());
    CHECK(answers(path));
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("UnixName that is told to leaves the file", "[balance][unix]") {
  const Folder folder;
  const auto path = folder.file("a.sock");
  {
    Listening listening(path);
    listening.name->leave();
  }
  CHECK(fs::is_socket(path));
}

TEST_CASE("UnixName replaces a file at which nobody listens any more", "[balance][unix]") {
  const Folder folder;
  const auto path = folder.file("a.sock");
  { Listening(path).name->leave(); }
  REQUIRE(fs::is_socket(path));
  REQUIRE_FALSE(answers(path));
  const Listening next(path);
  CHECK(next.problem.empty());
  CHECK(answers(path));
}

TEST_CASE("UnixName never takes the place of one that is served, also while its queue is full", "[balance][unix]") {
  const Folder folder;
  const auto path = folder.file("a.sock");
  const Listening first(path);
  const Fd slow = unixSocket();
  const auto full = folder.file("full.sock");
  const auto address = named(full);
  REQUIRE(::bind(slow.get(), address.get(), address.size()) == 0);
  REQUIRE(::listen(slow.get(), 0) == 0);
  const Fd waiting = unixSocket();
  REQUIRE(::connect(waiting.get(), address.get(), address.size()) == 0);
  for (const auto& taken : {path, full}) {
    const Listening second(taken);
    CHECK_THAT(second.problem, Catch::Contains("another program listens there"));
    CHECK(fs::is_socket(taken));
  }
  CHECK(answers(path));
}

TEST_CASE("UnixName removes nothing that is no socket", "[balance][unix]") {
  const Folder folder;
  const auto path = folder.file("precious");
  std::ofstream(path) << "text";
  const Listening listening(path);
  CHECK_THAT(listening.problem, Catch::Contains("is no socket"));
  CHECK(fs::file_size(path) == 4);
}

TEST_CASE("UnixName does not remove a file that took the place of its own", "[balance][unix]") {
  const Folder folder;
  const auto path = folder.file("a.sock");
  std::optional<Listening> first(std::in_place, path);
  fs::rename(path, folder.file("aside"));  // so that no inode is used again
  const Listening second(path);
  REQUIRE(second.problem.empty());
  first.reset();
  CHECK(answers(path));
}

TEST_CASE("UnixName gives the file the mode that was asked for, whatever the umask", "[balance][unix]") {
  const Folder folder;
  UnixAccess access;
  access.mode = GENERATE(mode_t{0600}, mode_t{0660}, mode_t{0666});
  const Listening listening(folder.file("a.sock"), access);
  REQUIRE(listening.problem.empty());
  CHECK((statusOf(folder.file("a.sock")).st_mode & 07777) == *access.mode);
  access.mode = 0640;
  REQUIRE(listening.name->allow(access));
  CHECK((statusOf(folder.file("a.sock")).st_mode & 07777) == 0640);
}

TEST_CASE("UnixName gives the file its owner", "[balance][unix]") {
  if (::geteuid() != 0) {
    WARN("only root gives a file to another user");
    return;
  }
  const Folder folder;
  UnixAccess access;
  REQUIRE(setOwner(access, "1234:4321"));
  const Listening listening(folder.file("a.sock"), access);
  REQUIRE(listening.problem.empty());
  CHECK(statusOf(folder.file("a.sock")).st_uid == 1234);
  CHECK(statusOf(folder.file("a.sock")).st_gid == 4321);
}

TEST_CASE("UnixName says what to do where there is no folder", "[balance][unix]") {
  const Folder folder;
  CHECK_THAT(Listening(folder.file("none/a.sock")).problem, Catch::Contains("make the folder first"));
}

TEST_CASE("UnixName of an abstract socket has no file", "[balance][unix]") {
  const auto name = "@lemonade-unix-name-test-" + std::to_string(::getpid());
  const Listening first(name);
  REQUIRE(first.problem.empty());
  CHECK(first.name->empty());
  CHECK(answers(name));
  CHECK_THAT(Listening(name).problem, Catch::Contains("another program listens there"));
}

TEST_CASE("setOwner reads users and groups by name and by number", "[balance][unix]") {
  UnixAccess access;
  REQUIRE(setOwner(access, "root:root"));
  CHECK(access.user == 0u);
  CHECK(access.group == 0u);
  REQUIRE(setOwner(access, "42"));
  CHECK(access.user == 42u);
  CHECK_FALSE(access.group);
  REQUIRE(setOwner(access, ":root"));
  CHECK_FALSE(access.user);
  CHECK(access.group == 0u);
}

TEST_CASE("setOwner names whom the system does not know", "[balance][unix]") {
  UnixAccess access;
  CHECK_THAT(setOwner(access, "no-such-user-here").error().message, Catch::Contains("no user \"no-such-user-here\""));
  CHECK_THAT(setOwner(access, ":no-such-group").error().message, Catch::Contains("no group \"no-such-group\""));
  for (const auto* text : {"", ":"}) CHECK_FALSE(setOwner(access, text));
}
