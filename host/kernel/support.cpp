// SPDX-License-Identifier: MIT
#include "kernel/support.h"

#include "kernel/exchange_times.h"
#include "kernel/listing.h"
#include "kernel/nft.h"
#include "kernel/table.h"

#include <linux/capability.h>
#include <netinet/in.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

namespace lemonade::kernel {

namespace {

constexpr const char* kConntrack = "net.netfilter.nf_conntrack_";
constexpr const char* kTurnedOn = "; a start turns it on where it may write to /proc/sys";
constexpr const char* kAccounting[] = {"acct", "timestamp", "events"};
/// Of nf_conntrack_events, the kernel's default since 5.19: only what begins while somebody listens has events.
constexpr std::uint64_t kEventsOnDemand = 2;
/// Ports that masquerading chooses from for one address of a backend: 1024 to 65535.
constexpr std::uint64_t kPorts = 64'512;
/// Since when programs may sit at hooks of netfilter.
constexpr std::pair kNetfilterPrograms{6U, 4U};
constexpr const char* kKernelTypes = "/sys/kernel/btf/vmlinux";
constexpr const char* kExchangeRights =
    "AmbientCapabilities=CAP_BPF CAP_PERFMON and SystemCallFilter=bpf in the unit, as kernel-exchanges.conf has them; "
    "or "
    "write exchanges = \"off\"";

std::string pathOf(const std::string& proc, std::string name) {
  std::replace(name.begin(), name.end(), '.', '/');
  return proc + "/sys/" + name;
}

std::optional<std::uint64_t> number(const std::string& proc, const std::string& name) {
  std::uint64_t value = 0;
  return std::ifstream(pathOf(proc, name)) >> value ? std::optional(value) : std::nullopt;
}

bool isOff(const std::string& proc, const std::string& name) { return number(proc, name) == 0; }

bool isOnDemand(const std::string& proc, const std::string& name) {
  return name.ends_with("_events") && number(proc, name) == kEventsOnDemand;
}

std::string setTo(const std::string& name, std::uint64_t value) {
  return "sysctl -w " + name + "=" + std::to_string(value) + ", for good in /etc/sysctl.d/61-lemonade-forwarding.conf";
}

/// The effective capabilities of this process; nothing where proc does not say.
std::optional<std::uint64_t> capabilities(const std::string& proc) {
  std::ifstream status(proc + "/self/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t value = 0;
    if (words >> name && name == "CapEff:" && words >> std::hex >> value) return value;
  }
  return std::nullopt;
}

/// Of the kernel; nothing where proc does not say.
std::optional<std::pair<unsigned, unsigned>> releaseOf(const std::string& proc) {
  std::ifstream file(pathOf(proc, "kernel.osrelease"));
  unsigned major = 0;
  unsigned minor = 0;
  char dot = 0;
  if (file >> major >> dot >> minor && dot == '.') return std::pair(major, minor);
  return std::nullopt;
}

void examineForwarding(const Wants& wants, const std::string& proc, Lacks& lacks) {
  const auto examine = [&](bool wanted, const char* family, const std::string& name) {
    if (!wanted || !isOff(proc, name)) return;
    lacks.push_back({true, std::string("this machine forwards no ") + family + ": " + name + " is 0", setTo(name, 1)});
  };
  examine(wants.ipv4, "IPv4", "net.ipv4.ip_forward");
  examine(wants.ipv6, "IPv6", "net.ipv6.conf.all.forwarding");
}

void examineConntrack(const std::string& proc, Lacks& lacks) {
  const auto off = [&](const std::string& name, const char* hurts) {
    if (isOff(proc, kConntrack + name))
      lacks.push_back({false, kConntrack + name + " is 0: " + hurts, setTo(kConntrack + name, 1) + kTurnedOn});
  };
  if (const std::string events = std::string(kConntrack) + "events"; isOff(proc, events))
    lacks.push_back({true, events + " is 0: nobody says when a connection ends", setTo(events, 1)});
  else if (isOnDemand(proc, events))
    lacks.push_back({false, events + " is 2: ends of connections that begin while no balancer runs are noticed late",
                     setTo(events, 1) + kTurnedOn});
  off("acct", "bytes and packets of connections are not counted");
  off("timestamp", "how long connects and connections take is not known exactly");
}

/// An entry stays for 120 seconds behind the end of a connection.
void examineRoom(const Wants& wants, const std::string& proc, Lacks& lacks) {
  const std::string name = std::string(kConntrack) + "max";
  const auto most = number(proc, name);
  if (!most || wants.connections == 0 || *most >= 2 * wants.connections) return;
  const bool fatal = *most < wants.connections;
  lacks.push_back(
      {fatal,
       name + " is " + std::to_string(*most) + ", and " + std::to_string(wants.connections) +
           " connections may be open at once" + (fatal ? "" : ", beside which those that ended stay for 120 seconds"),
       setTo(name, std::max<std::uint64_t>(2 * wants.connections, 262'144)) + "; or lower max_connections"});
}

void examinePorts(const Wants& wants, Lacks& lacks) {
  const std::uint64_t places = kPorts * wants.backends.size();
  if (!wants.masquerade || places == 0 || wants.connections <= places) return;
  lacks.push_back({false,
                   std::to_string(wants.connections) + " connections are more than the " + std::to_string(kPorts) +
                       " ports of the balancer's address for each of " + std::to_string(wants.backends.size()) +
                       " addresses of backends",
                   "source = \"keep\" where the balancer is the gateway of the backends, more addresses of backends, "
                   "or a lower max_connections"});
}

bool isLoopback4(const Address& address) {
  if (address.family() != AF_INET) return false;
  const auto* in = reinterpret_cast<const sockaddr_in*>(address.get());
  return (ntohl(in->sin_addr.s_addr) >> IN_CLASSA_NSHIFT) == IN_LOOPBACKNET;
}

bool isLoopback6(const Address& address) {
  return address.family() == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr);
}

/// Whether packets from outside may be sent to 127.0.0.0/8, by any interface.
bool routesLocalnet(const std::string& proc) {
  std::error_code error;
  for (const auto& interface : std::filesystem::directory_iterator(pathOf(proc, "net.ipv4.conf"), error)) {
    int on = 0;
    if (interface.path().filename() != "lo" && std::ifstream(interface.path() / "route_localnet") >> on && on == 1)
      return true;
  }
  return false;
}

void examineLoopback(const Wants& wants, const std::string& proc, Lacks& lacks) {
  const auto first = [&](bool (*is)(const Address&)) {
    return std::find_if(wants.backends.begin(), wants.backends.end(), is);
  };
  if (const auto one = first(isLoopback6); one != wants.backends.end())
    lacks.push_back({true, one->text() + " cannot be forwarded to: the kernel takes no packet for ::1 from elsewhere",
                     "give the backend another address of this machine"});
  const auto one = first(isLoopback4);
  if (one == wants.backends.end() || routesLocalnet(proc)) return;
  lacks.push_back({true,
                   one->text() + " cannot be forwarded to: the kernel drops packets for 127.0.0.0/8 that come from "
                                 "elsewhere (net.ipv4.conf.*.route_localnet is 0)",
                   "give the backend another address of this machine; or sysctl -w net.ipv4.conf.IF.route_localnet=1 "
                   "for the interface IF of the clients, which opens the services on 127.0.0.1 to its neighbours"});
}

/// Whether the kernel takes the program, which then ends again.
Lacks tryExchanges(std::uint16_t tag) {
  const auto opened = ExchangeTimes::open(tag);
  if (opened) return {};
  return {{true, "exchanges cannot be timed: " + opened.error().message, "write exchanges = \"off\""}};
}

}  // namespace

Lacks examineRights(const std::string& proc) {
  const auto has = capabilities(proc);
  if (!has) return {};
  const auto may = [&](int capability) { return (*has >> capability & 1) != 0; };
  Lacks lacks;
  if (!may(CAP_NET_ADMIN))
    lacks.push_back({true, "this process lacks CAP_NET_ADMIN, which rules and queues of packets take",
                     "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW in the unit, or setcap "
                     "cap_net_admin,cap_net_raw=+ep on the binary"});
  if (!may(CAP_NET_RAW))
    lacks.push_back({true, "this process lacks CAP_NET_RAW, without which drains cannot end connections",
                     "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW in the unit, or setcap "
                     "cap_net_admin,cap_net_raw=+ep on the binary"});
  return lacks;
}

Lacks examineExchanges(const std::string& proc) {
  if (const auto built = ExchangeTimes::checkBuild(); !built) {
    const std::string& message = built.error().message;
    const auto at = message.find("; ");
    return {{true, message.substr(0, at), message.substr(at + 2)}};
  }
  Lacks lacks;
  const auto has = capabilities(proc);
  for (const auto& [capability, name] : {std::pair(CAP_BPF, "CAP_BPF"), std::pair(CAP_PERFMON, "CAP_PERFMON")})
    if (has && ((*has >> capability | *has >> CAP_SYS_ADMIN) & 1) == 0)
      lacks.push_back({true, std::string("this process lacks ") + name + ", which timing exchanges in the kernel takes",
                       kExchangeRights});
  if (const auto release = releaseOf(proc); release && *release < kNetfilterPrograms)
    lacks.push_back({true,
                     "exchanges cannot be timed by Linux " + std::to_string(release->first) + "." +
                         std::to_string(release->second) + ": it takes 6.4 or later",
                     "boot a later kernel, or write exchanges = \"off\""});
  std::error_code error;
  if (!std::filesystem::exists(kKernelTypes, error))
    lacks.push_back({true, std::string("the kernel does not tell its types: there is no ") + kKernelTypes,
                     "boot a kernel with CONFIG_DEBUG_INFO_BTF, or write exchanges = \"off\""});
  return lacks;
}

Lacks examineSettings(const Wants& wants, const std::string& proc) {
  Lacks lacks;
  examineForwarding(wants, proc, lacks);
  examineConntrack(proc, lacks);
  examineRoom(wants, proc, lacks);
  examinePorts(wants, lacks);
  examineLoopback(wants, proc, lacks);
  return lacks;
}

Lacks examineParts(const std::string& table) {
  const auto checked = Table(table).check();
  if (checked) return {};
  const std::string& message = checked.error().message;
  for (const std::string mend : {": modprobe", "; run as root"}) {
    const auto at = message.find(mend);
    if (at != std::string::npos) return {{true, message.substr(0, at), message.substr(at + 2)}};
  }
  return {{true, message, "look into the configuration of the kernel (zcat /proc/config.gz)"}};
}

Lacks examineForwardChains(std::string_view chains) {
  const auto dropping = readDroppingChains(chains);
  if (!dropping) return {};
  Lacks lacks;
  for (const auto& chain : dropping.value()) {
    const std::string place = chain.family + " " + chain.table + " " + chain.name;
    lacks.push_back({false,
                     "the chain " + place +
                         " drops what is forwarded unless a rule of its own accepts it, as Docker "
                         "and firewalls set it up",
                     "nft insert rule " + place +
                         " ct status dnat accept, or iptables -I FORWARD -m conntrack "
                         "--ctstate DNAT -j ACCEPT, for good in the firewall's own files"});
  }
  return lacks;
}

Lacks examineSupport(const std::string& table, std::uint16_t tag, const Wants& wants, const std::string& proc) {
  Lacks lacks = examineRights(proc);
  const auto add = [&](Lacks more) { lacks.insert(lacks.end(), more.begin(), more.end()); };
  if (lacks.empty()) {
    add(examineParts(table));
    if (const auto chains = listNft("list chains")) add(examineForwardChains(chains.value()));
    if (wants.exchanges) {
      Lacks more = examineExchanges(proc);
      if (more.empty()) more = tryExchanges(tag);
      add(std::move(more));
    }
  }
  add(examineSettings(wants, proc));
  return lacks;
}

Accounting turnOnAccounting(const std::string& proc) {
  Accounting accounting;
  for (const char* name : kAccounting) {
    const std::string setting = std::string(kConntrack) + name;
    if (!isOff(proc, setting) && !isOnDemand(proc, setting)) continue;
    std::ofstream file(pathOf(proc, setting));
    const bool written = file.is_open() && (file << "1\n").flush();
    (written ? accounting.turned_on : accounting.refused).push_back(setting);
  }
  return accounting;
}

}  // namespace lemonade::kernel
