// SPDX-License-Identifier: MIT
#include "doctor/listeners.h"

#include "balance/address.h"
#include "base/fd.h"
#include "doctor/proc_net.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

namespace lemonade::doctor {

namespace {

constexpr const char* kListenersTopic = "listeners";
constexpr const char* kOurName = "lemonade";

/// One address to listen on, with the key that says it.
struct Wanted {
  std::string key;
  Address address;
};

std::vector<Wanted> allOf(const config::Config& config) {
  std::vector<Wanted> all;
  const auto add = [&](const std::string& key, const config::Listen& listen) {
    if (const auto address = Address::parse(listen.address)) all.push_back({key, *address});
  };
  for (const auto& listener : config.listeners)
    for (const auto& listen : listener.addresses)
      add(listener.name == config::kDefaultName ? "proxy.listen_address" : "listeners." + listener.name + ".address",
          listen);
  if (config.admin) add("admin.listen_address", *config.admin);
  return all;
}

/// The errno of trying; 0: it can be had.
int tryToBind(const Address& address) {
  const Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  const int on = 1;
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.family() == AF_INET6) (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  return ::bind(fd.get(), address.get(), address.size()) == 0 ? 0 : errno;
}

/// Who listens where that address would be taken by it.
std::optional<Holder> whoHas(const Address& address, const std::vector<TcpSocket>& sockets, const std::string& proc) {
  for (const auto& socket : sockets) {
    const bool same_port = socket.listening && socket.local.port() == address.port();
    if (!same_port || !(socket.local == address || socket.local.isWildcard() || address.isWildcard())) continue;
    if (auto holder = holderOf(socket.inode, proc)) return holder;
  }
  return std::nullopt;
}

Finding isTaken(const Wanted& wanted, const std::optional<Holder>& holder) {
  const std::string text = wanted.address.text();
  if (!holder)
    return {
        Level::kProblem, kListenersTopic, text + " is taken by a program that this user may not look into", wanted.key,
        "ss -ltnp 'sport = :" + std::to_string(wanted.address.port()) + "' as root says who; or change the address"};
  const std::string who = holder->name + ", process " + std::to_string(holder->pid);
  if (holder->name == kOurName)
    return {Level::kOk, kListenersTopic,
            text + " is served by a balancer that runs, process " + std::to_string(holder->pid), wanted.key};
  return {Level::kProblem, kListenersTopic, text + " is taken by " + who, wanted.key,
          "stop it (kill " + std::to_string(holder->pid) + "), or change the address"};
}

std::string mendOf(int error) {
  switch (error) {
    case EACCES:
      return "setcap cap_net_bind_service=+ep on the binary, AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or "
             "a port above 1023";
    case EADDRNOTAVAIL:
      return "ip address shows those that this machine has; sysctl -w net.ipv4.ip_nonlocal_bind=1 where it will come";
    default:
      return "change the address";
  }
}

Finding examineTcp(const Wanted& wanted, const std::vector<TcpSocket>& sockets, const std::string& proc) {
  const int error = tryToBind(wanted.address);
  if (error == 0) return {Level::kOk, kListenersTopic, wanted.address.text() + " can be listened on", wanted.key};
  if (error == EADDRINUSE) return isTaken(wanted, whoHas(wanted.address, sockets, proc));
  return {Level::kProblem, kListenersTopic, wanted.address.text() + " cannot be listened on: " + std::strerror(error),
          wanted.key, mendOf(error)};
}

/// A file that nobody listens at is replaced at the start. Binding would make one, so it is not tried.
Finding examineUnix(const Wanted& wanted) {
  const std::string text = wanted.address.text();
  if (wanted.address.path().empty()) {
    const int error = tryToBind(wanted.address);
    if (error == 0) return {Level::kOk, kListenersTopic, text + " can be listened on", wanted.key};
    return {Level::kProblem, kListenersTopic, text + " cannot be listened on: " + std::strerror(error), wanted.key,
            "ss -lxp shows who listens; or change the name"};
  }
  const std::filesystem::path folder = std::filesystem::path(wanted.address.path()).parent_path();
  if (::access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) != 0)
    return {Level::kProblem, kListenersTopic,
            text + " cannot be made: " + folder.string() + ": " + std::strerror(errno), wanted.key,
            "install -d -o USER " + folder.string() + ", or RuntimeDirectory= in the unit"};
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd && (::connect(fd.get(), wanted.address.get(), wanted.address.size()) == 0 || errno == EAGAIN))
    return {Level::kWarning, kListenersTopic, text + " is listened on already", wanted.key,
            "lsof " + std::string(wanted.address.path()) + " says by whom; a running balancer is fine"};
  return {Level::kOk, kListenersTopic, text + " can be listened on", wanted.key};
}

}  // namespace

Findings examineListeners(const config::Config& config, const std::vector<TcpSocket>& sockets,
                          const std::string& proc) {
  Findings findings;
  for (const auto& wanted : allOf(config)) {
    if (wanted.address.isUnix())
      findings.push_back(examineUnix(wanted));
    else if (wanted.address.port() == 0)
      findings.push_back(
          {Level::kOk, kListenersTopic, wanted.address.text() + ": the kernel chooses the port", wanted.key});
    else
      findings.push_back(examineTcp(wanted, sockets, proc));
  }
  return findings;
}

}  // namespace lemonade::doctor
