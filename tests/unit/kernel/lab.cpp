// SPDX-License-Identifier: MIT
#include "lab.h"

#include "support/privilege.h"
#include "support/skip.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <system_error>

namespace lemonade::test {
namespace {

Fd currentNetwork() { return ownedFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), "open a network"); }

void enter(int net) {
  if (::setns(net, CLONE_NEWNET) != 0) throw std::system_error(errno, std::generic_category(), "setns");
}

/// Goes back to the network that the thread was in.
class Homecoming {
 public:
  Homecoming() : home_(currentNetwork()) {}
  ~Homecoming() { ::setns(home_.get(), CLONE_NEWNET); }
  Homecoming(const Homecoming&) = delete;
  Homecoming& operator=(const Homecoming&) = delete;

 private:
  Fd home_;
};

bool succeeds(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

std::string labRules(std::uint32_t mark) {
  const auto text = std::to_string(mark);
  return R"(
table inet lab {
  chain choose {
    type nat hook prerouting priority dstnat;
    tcp flags & (fin|syn|rst|ack) != syn accept
    ip daddr 10.77.1.1 tcp dport 9000 ct mark set )" +
         text + R"( dnat ip to 10.77.2.2:8000
    ip6 daddr fd77:1::1 tcp dport 9000 ct mark set )" +
         text + R"( dnat ip6 to [fd77:2::2]:8000
  }
  chain leave { type nat hook postrouting priority srcnat; ct mark & 0xffff8000 == 0x4c4d0000 masquerade; }
  chain untracked { type filter hook output priority raw; meta mark 0x4c4d7ffe notrack; }
})";
}

/// A link from the network of the calling thread to another one, with the addresses of both ends.
void joinTo(const Network& other, const std::string& name, const std::string& network) {
  shell("ip link add name " + name + " type veth peer name uplink netns " + other.path());
  const auto addresses = [&](const std::string& device, const std::string& host) {
    shell("echo 0 >/proc/sys/net/ipv6/conf/" + device + "/accept_dad");  // its own address is good at once
    shell("ip address add 10.77." + network + "." + host + "/24 dev " + device);
    shell("ip address add fd77:" + network + "::" + host + "/64 dev " + device + " nodad");
    shell("ip link set " + device + " up");
  };
  addresses(name, "1");
  other.in([&] {
    addresses("uplink", "2");
    shell("ip route add default via 10.77." + network + ".1");
    shell("ip -6 route add default via fd77:" + network + "::1");
  });
}

/// Waits until a host answers. Of a link that was just made the first packets may be lost.
void awaitHost(const std::string& host) {
  const auto refuses = [&] {
    try {
      return connected(beginConnect(host + ":1").get()) == ECONNREFUSED;
    } catch (const std::system_error&) {
      return false;  // there is no way there yet
    }
  };
  if (!eventually(refuses)) throw TimeoutError(host + " cannot be reached");
}

}  // namespace

void inTestNetwork(const std::function<void()>& body) {
  if (!isRoot()) skip("only root may have a network of its own");
  if (!succeeds("unshare --net true")) skip("network namespaces may not be made here");
  if (!succeeds("unshare --net nft list tables")) skip("nft is not installed, or the kernel has no nf_tables");
  inOwnNetwork(body);
}

void shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error("this failed: " + command);
}

void nft(const std::string& rules) {
  std::FILE* const pipe = ::popen("nft -f -", "w");
  if (pipe == nullptr) throw std::system_error(errno, std::generic_category(), "popen");
  std::fputs(rules.c_str(), pipe);
  if (::pclose(pipe) != 0) throw std::runtime_error("nft did not take: " + rules);
}

void queueSyns(std::uint16_t port, std::uint16_t queue, bool ipv6) {
  const auto port_text = std::to_string(port);
  const auto queue_text = std::to_string(queue);
  nft("table inet queueing { chain ask { type filter hook output priority mangle; }; }");
  if (succeeds("nft add rule inet queueing ask meta nfproto " + std::string(ipv6 ? "ipv6" : "ipv4") + " tcp dport " +
               port_text + " 'tcp flags & (fin|syn|rst|ack) == syn' queue num " + queue_text + " bypass"))
    return;
  if (!succeeds(std::string(ipv6 ? "ip6tables-nft" : "iptables-nft") + " -t mangle -A OUTPUT -p tcp --dport " +
                port_text + " --syn -j NFQUEUE --queue-num " + queue_text + " --queue-bypass"))
    skip("neither nft nor iptables-nft can make a rule with a queue here");
}

Network::Network() {
  const Homecoming homecoming;
  if (::unshare(CLONE_NEWNET) != 0) throw std::system_error(errno, std::generic_category(), "unshare");
  fd_ = currentNetwork();
  shell("ip link set lo up");
}

void Network::in(const std::function<void()>& body) const {
  const Homecoming homecoming;
  enter(fd_.get());
  body();
}

std::string Network::path() const { return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_.get()); }

void forwardBetween(const Network& client, const Network& backends) {
  joinTo(client, "to_client", "1");
  joinTo(backends, "to_backend", "2");
  shell("echo 1 | tee /proc/sys/net/ipv4/ip_forward >/proc/sys/net/ipv6/conf/all/forwarding");
}

ForwardingLab::ForwardingLab(Family family, Source source)
    : address_(family == Family::kIpv6 ? "[fd77:1::1]:9000" : "10.77.1.1:9000") {
  forwardBetween(client_, backend_);
  client_.in([] {
    awaitHost("10.77.1.1");
    awaitHost("[fd77:1::1]");
  });
  awaitHost("10.77.2.2");
  awaitHost("[fd77:2::2]");
  nft(labRules(source == Source::kKeep ? kKeptMark : kFlowMark));
  backend_.in([&] { listening_ = listenOn(family == Family::kIpv6 ? "[fd77:2::2]:8000" : "10.77.2.2:8000"); });
}

ForwardingLab::Connection ForwardingLab::connect() {
  Connection connection;
  client_.in([&] { connection.client = Socket::connect(address_); });
  connection.backend = acceptOn(listening_.get());
  return connection;
}

Fd beginConnect(const std::string& address) {
  const auto to = Address::parse(address).value();
  Fd fd = ownedFd(::socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  if (::connect(fd.get(), to.get(), to.size()) != 0 && errno != EINPROGRESS)
    throw std::system_error(errno, std::generic_category(), "connect to " + address);
  return fd;
}

int connected(int fd) {
  pollfd entry{fd, POLLOUT, 0};
  if (::poll(&entry, 1, Deadline(10s).remainingMillis()) != 1) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

unsigned retransmits(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
  return info.tcpi_total_retrans;
}

Socket acceptOn(int listening) {
  if (!readable(listening)) throw TimeoutError("nobody connected");
  return Socket(ownedFd(::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept4"));
}

bool readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, Deadline(10s).remainingMillis()) == 1;
}

void giveUpCapability(unsigned capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) throw std::system_error(errno, std::generic_category(), "capget");
  data[capability / 32].effective &= ~(1u << capability % 32);
  if (::syscall(SYS_capset, &header, data) != 0) throw std::system_error(errno, std::generic_category(), "capset");
}

}  // namespace lemonade::test
