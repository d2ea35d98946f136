// SPDX-License-Identifier: MIT
#include "kernel/flow_events.h"

#include "kernel/conntrack.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_compat.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstring>
#include <string>

namespace lemonade::kernel {
namespace {

constexpr std::size_t kEventBuffer = std::size_t{16} << 20;
constexpr std::uint32_t kEventGroups =
    NF_NETLINK_CONNTRACK_NEW | NF_NETLINK_CONNTRACK_UPDATE | NF_NETLINK_CONNTRACK_DESTROY;

constexpr std::uint16_t kDestroyed = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;

/// Lets pass the messages whose mark is the wanted one, but those of a state that nobody waits for: half of the six
/// that a connection makes. The filter that libnetfilter_conntrack makes of marks (NFCT_FILTER_MARK) lets pass, too,
/// all messages that have no mark: the events of every other connection of the machine.
int filterEvents(int fd, std::uint32_t mark, std::uint32_t mask) noexcept {
  constexpr std::uint32_t kFind = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_NLATTR);
  constexpr std::uint32_t kFindWithin = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_NLATTR_NEST);
  constexpr std::uint32_t kFirstAttribute = NLMSG_HDRLEN + sizeof(nfgenmsg);
  constexpr auto kFirstUnwanted = static_cast<std::uint32_t>(TcpState::kFinWait);
  constexpr auto kLastUnwanted = static_cast<std::uint32_t>(TcpState::kLastAck);
  // A is where an attribute is, 0 for nowhere; jumps count the instructions that are passed over.
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_IMM, kFirstAttribute),
      BPF_STMT(BPF_LDX | BPF_IMM, CTA_MARK),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFind),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 19, 0),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_IND, NLA_HDRLEN),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mark & mask, 0, 15),
      // The end of one is wanted whatever its state.
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(kDestroyed), 12, 0),
      BPF_STMT(BPF_LD | BPF_IMM, kFirstAttribute),
      BPF_STMT(BPF_LDX | BPF_IMM, CTA_PROTOINFO),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFind),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 8, 0),
      BPF_STMT(BPF_LDX | BPF_IMM, CTA_PROTOINFO_TCP),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFindWithin),
      BPF_STMT(BPF_LDX | BPF_IMM, CTA_PROTOINFO_TCP_STATE),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFindWithin),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_B | BPF_IND, NLA_HDRLEN),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kFirstUnwanted, 0, 1),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, kLastUnwanted, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  const sock_fprog filter{sizeof(program) / sizeof(program[0]), program};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0 ? 0 : errno;
}

std::optional<FlowEvent::What> whatOf(const nlmsghdr& message) noexcept {
  switch (message.nlmsg_type) {
    case NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW:
      return (message.nlmsg_flags & NLM_F_CREATE) != 0 ? FlowEvent::What::kNew : FlowEvent::What::kUpdate;
    case kDestroyed:
      return FlowEvent::What::kDestroy;
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<FlowEvents> FlowEvents::open(std::uint32_t mark, std::uint32_t mask) {
  // Joining succeeds where the kernel has nobody who would send; asking does not.
  if (auto asked = Conntrack::open(); !asked) return std::move(asked).error();
  auto socket = NetfilterSocket::open(kConntrackPart);
  if (!socket) return std::move(socket).error();
  socket.value().setReceiveBuffer(kEventBuffer);
  if (const int error = filterEvents(socket.value().fd(), mark, mask))
    return Error{std::string("cannot filter events of connections: ") + std::strerror(error)};
  if (const int error = socket.value().join(kEventGroups))
    return netfilterError("listen for events of connections", error, kConntrackPart);
  return FlowEvents(std::move(socket).value());
}

std::optional<FlowEvent> FlowEvents::parse(const nlmsghdr& message) {
  const auto what = whatOf(message);
  if (!what) return std::nullopt;
  const auto entry = readFlowEntry(message);
  if (!entry) return std::nullopt;
  return FlowEvent{*what, *entry};
}

}  // namespace lemonade::kernel
