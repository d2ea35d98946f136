// SPDX-License-Identifier: MIT
#include "base/inherited_descriptors.h"

#include "base/handed_descriptors.h"
#include "support/socket.h"

#include <fcntl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <functional>

namespace lemonade {
namespace {

sockaddr_in at(std::uint16_t port, std::uint32_t ip = INADDR_LOOPBACK) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(ip);
  return address;
}

const sockaddr* any(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

Fd listener() {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = at(0);
  REQUIRE(::bind(fd.get(), any(address), sizeof(address)) == 0);
  REQUIRE(::listen(fd.get(), 1) == 0);
  return fd;
}

std::uint16_t portOf(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  (void)::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

/// Runs look in a process that was handed these; true where it says so.
bool inChild(const std::vector<std::pair<std::string, int>>& handed,
             const std::function<bool(InheritedDescriptors&)>& look, const std::vector<std::string>& variables = {}) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    HandedDescriptors descriptors;
    for (const auto& [name, fd] : handed) descriptors.add(name, fd);
    descriptors.prepare({});
    if (!descriptors.place()) ::_exit(2);
    for (char* const* variable = descriptors.environment(); *variable != nullptr; ++variable) ::putenv(*variable);
    for (const auto& variable : variables) ::putenv(const_cast<char*>(variable.c_str()));
    auto inherited = InheritedDescriptors::fromEnvironment();
    ::_exit(look(inherited) ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_CASE("InheritedDescriptors gives a listening socket to whoever wants its address", "[base]") {
  const Fd one = listener(), two = listener();
  const auto first = portOf(one.get()), second = portOf(two.get());
  CHECK(inChild({{"proxy", one.get()}, {"proxy", two.get()}}, [&](InheritedDescriptors& inherited) {
    const auto address = at(second), other = at(first, INADDR_ANY);
    const Fd taken = inherited.takeListener(any(address), "admin");
    return portOf(taken.get()) == second && !inherited.takeListener(any(address), "admin") &&
           !inherited.takeListener(any(other), "proxy");
  }));
}

TEST_CASE("InheritedDescriptors gives to port 0 a socket of the same name and address", "[base]") {
  const Fd one = listener(), two = listener();
  const auto second = portOf(two.get());
  CHECK(inChild({{"proxy", one.get()}, {"admin", two.get()}}, [&](InheritedDescriptors& inherited) {
    const auto address = at(0);
    return portOf(inherited.takeListener(any(address), "admin").get()) == second &&
           !inherited.takeListener(any(address), "admin");
  }));
}

TEST_CASE("InheritedDescriptors makes listeners non-blocking and lets no child have them", "[base]") {
  const Fd one = listener();
  CHECK(inChild({{"proxy", one.get()}}, [](InheritedDescriptors& inherited) {
    const auto address = at(0);
    const Fd fd = inherited.takeListener(any(address), "proxy");
    return (::fcntl(fd.get(), F_GETFL) & O_NONBLOCK) != 0 && (::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0 &&
           ::getenv("LISTEN_FDS") == nullptr;
  }));
}

TEST_CASE("InheritedDescriptors closes what nobody took and says what it was", "[base]") {
  const Fd one = listener();
  const Fd other(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto text = "web 127.0.0.1:" + std::to_string(portOf(one.get()));
  CHECK(inChild({{"web", one.get()}, {"else", other.get()}}, [&](InheritedDescriptors& inherited) {
    return inherited.closeRest() == std::vector<std::string>{text, "else"} && ::fcntl(3, F_GETFD) < 0 &&
           ::fcntl(4, F_GETFD) < 0;
  }));
}

TEST_CASE("InheritedDescriptors gives a Unix socket to whoever wants its name, while that leads to a socket",
          "[base]") {
  const auto path = std::filesystem::temp_directory_path() / ("lemonade-inherited-" + std::to_string(::getpid()));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof(address.sun_path) - 1);
  const auto* const name = reinterpret_cast<const sockaddr*>(&address);
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(fd.get(), name, sizeof(address)) == 0);
  REQUIRE(::listen(fd.get(), 1) == 0);
  sockaddr_un other = address;
  other.sun_path[0] = '\0';
  CHECK(inChild({{"proxy", fd.get()}}, [&](InheritedDescriptors& inherited) {
    return !inherited.takeListener(reinterpret_cast<const sockaddr*>(&other), "") &&
           !inherited.takeListener(name, "unix") && inherited.takeListener(name, "") &&
           !inherited.takeListener(name, "");
  }));
  CHECK(inChild({{"unix", fd.get()}}, [&](auto& inherited) { return bool{inherited.takeListener(name, "unix")}; }));
  std::filesystem::remove(path);
  CHECK(inChild({{"proxy", fd.get()}}, [&](InheritedDescriptors& inherited) {
    return !inherited.takeListener(name, "") &&
           inherited.closeRest() == std::vector<std::string>{"proxy unix:" + path.string()};
  }));
}

TEST_CASE("InheritedDescriptors knows what a service manager kept and takes a socket that comes twice for one",
          "[base]") {
  const Fd one = listener(), two = listener();
  const auto second = portOf(two.get());
  const std::string name = "kept-admin-127.0.0.1_" + std::to_string(second);
  CHECK(inChild({{"proxy", one.get()}, {"kept-proxy-x", one.get()}, {name, two.get()}}, [&](auto& inherited) {
    const auto address = at(0);
    return inherited.activated() && inherited.kept().size() == 2 &&
           portOf(inherited.takeListener(any(address), "admin").get()) == second &&
           inherited.takeListeners().size() == 1 && inherited.kept().contains(name);
  }));
  CHECK(inChild({{name, two.get()}},
                [&](auto& inherited) { return !inherited.activated() && inherited.takeListeners()[0].first == name; }));
}

TEST_CASE("InheritedDescriptors believes no variables that are meant for another process or make no sense", "[base]") {
  const Fd one = listener();
  const auto isEmpty = [](InheritedDescriptors& inherited) { return inherited.empty(); };
  const auto variable =
      GENERATE("LISTEN_PID=1", "LISTEN_FDS=x", "LISTEN_FDS=-1", "LISTEN_FDS=99999999999", "LISTEN_FDS=500");
  CAPTURE(variable);
  CHECK(inChild({{"proxy", one.get()}}, isEmpty, {variable}));
}

}  // namespace
}  // namespace lemonade
