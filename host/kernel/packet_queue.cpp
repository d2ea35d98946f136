// SPDX-License-Identifier: MIT
#include "kernel/packet_queue.h"

#include "kernel/packet.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <sys/socket.h>

#include <libnetfilter_queue/libnetfilter_queue.h>  // whose own copies of the kernel's headers are older

#include <algorithm>
#include <cerrno>
#include <limits>
#include <string>

namespace lemonade::kernel {
namespace {

constexpr std::size_t kShortMessage = 256;
constexpr std::size_t kBytesPerPacket = 2048;  // that a packet takes of the receive buffer, as the kernel counts
constexpr std::size_t kSmallestBuffer = std::size_t{1} << 20;
constexpr std::size_t kLargestBuffer = std::size_t{64} << 20;

using ShortMessage = NetfilterSocket::Buffer<kShortMessage>;

/// An old command that does nothing any more, but for which the kernel asks for the same right.
int askForRight(NetfilterSocket& socket) noexcept {
  ShortMessage buffer;
  auto* const message = nfq_nlmsg_put(buffer.data(), NFQNL_MSG_CONFIG, 0);
  nfq_nlmsg_cfg_put_cmd(message, AF_INET, NFQNL_CFG_CMD_PF_BIND);
  return socket.ask(*message);
}

int bindNumber(NetfilterSocket& socket, std::uint16_t number, std::uint32_t limit) noexcept {
  constexpr std::uint32_t kFlags = NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_GSO;
  ShortMessage buffer;
  auto* const message = nfq_nlmsg_put(buffer.data(), NFQNL_MSG_CONFIG, number);
  nfq_nlmsg_cfg_put_cmd(message, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
  nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_PACKET, kPacketHeadSize);
  nfq_nlmsg_cfg_put_qmaxlen(message, limit);
  mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(kFlags));
  mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(kFlags));
  return socket.ask(*message);
}

/// What somebody else has is EPERM; of our own socket it would be EBUSY.
bool isTaken(int error) noexcept { return error == EPERM || error == EBUSY; }

/// The parts of a message that are wanted of a packet.
struct PacketAttributes {
  const nfqnl_msg_packet_hdr* header = nullptr;
  std::uint32_t mark = 0;
  std::span<const std::byte> payload;
};

int takePacketAttribute(const nlattr* attribute, void* to) noexcept {
  auto& taken = *static_cast<PacketAttributes*>(to);
  const void* const payload = mnl_attr_get_payload(attribute);
  const std::size_t size = mnl_attr_get_payload_len(attribute);
  switch (mnl_attr_get_type(attribute)) {
    case NFQA_PACKET_HDR:
      if (size >= sizeof(nfqnl_msg_packet_hdr)) taken.header = static_cast<const nfqnl_msg_packet_hdr*>(payload);
      break;
    case NFQA_MARK:
      if (size >= sizeof(std::uint32_t)) taken.mark = ntohl(mnl_attr_get_u32(attribute));
      break;
    case NFQA_PAYLOAD:
      taken.payload = {static_cast<const std::byte*>(payload), size};
      break;
    default:
      break;
  }
  return MNL_CB_OK;
}

}  // namespace

Result<PacketQueue> PacketQueue::open(std::uint16_t first, std::uint32_t limit) {
  auto opened = NetfilterSocket::open(kQueuePart);
  if (!opened) return std::move(opened).error();
  auto socket = std::move(opened).value();
  // Were a number refused, it could not be told whether the right is missing or the number is somebody else's.
  if (const int error = askForRight(socket)) return netfilterError("bind a queue of packets", error, kQueuePart);
  const int on = 1;
  ::setsockopt(socket.fd(), SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on));
  socket.setReceiveBuffer(std::clamp(limit * kBytesPerPacket, kSmallestBuffer, kLargestBuffer));
  for (std::uint32_t number = first; number <= std::numeric_limits<std::uint16_t>::max(); ++number) {
    const auto bound = static_cast<std::uint16_t>(number);
    const int error = bindNumber(socket, bound, limit);
    if (error != 0 && isTaken(error)) continue;
    if (error != 0) return netfilterError("bind queue " + std::to_string(number), error, kQueuePart);
    PacketQueue queue(std::move(socket), bound);
    // A rule may name the number already: what came while the kernel answered has been received beside the answer.
    queue.decideOnAll(NF_ACCEPT);
    return queue;
  }
  return Error{"cannot bind a queue of packets: every number from " + std::to_string(first) +
               " on has an owner (see /proc/net/netfilter/nfnetlink_queue)"};
}

PacketQueue& PacketQueue::operator=(PacketQueue&& other) noexcept {
  if (this == &other) return *this;
  close();
  socket_ = std::move(other.socket_);
  number_ = other.number_;
  newest_ = other.newest_;
  together_ = false;
  decided_ = 0;
  return *this;
}

void PacketQueue::close() noexcept {
  if (socket_.fd() < 0) return;
  decideOnAll(NF_ACCEPT);
  socket_.close();
}

bool PacketQueue::parse(const nlmsghdr& message, QueuedPacket& packet) noexcept {
  if (message.nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)) return false;
  PacketAttributes taken;
  mnl_attr_parse(&message, sizeof(nfgenmsg), takePacketAttribute, &taken);
  if (taken.header == nullptr) return false;
  packet.id = newest_ = ntohl(taken.header->packet_id);
  packet.mark = taken.mark;
  packet.bytes = taken.payload;
  return true;
}

void PacketQueue::decide(std::uint16_t type, std::uint32_t id, int verdict, const std::uint32_t* mark) noexcept {
  if (decided_ + kDecisionSize > sizeof(decisions_.bytes)) sendDecisions();
  auto* const message = nfq_nlmsg_put(decisions_.data() + decided_, type, number_);
  nfq_nlmsg_verdict_put(message, static_cast<int>(id), verdict);
  if (mark != nullptr) nfq_nlmsg_verdict_put_mark(message, *mark);
  decided_ += NLMSG_ALIGN(message->nlmsg_len);
  if (!together_) sendDecisions();
}

void PacketQueue::sendDecisions() noexcept {
  if (decided_ != 0) socket_.send(std::span(decisions_.bytes).first(std::exchange(decided_, 0)));
}

void PacketQueue::accept(std::uint32_t id) noexcept { decide(NFQNL_MSG_VERDICT, id, NF_ACCEPT, nullptr); }

void PacketQueue::accept(std::uint32_t id, std::uint32_t mark) noexcept {
  decide(NFQNL_MSG_VERDICT, id, NF_ACCEPT, &mark);
}

void PacketQueue::drop(std::uint32_t id) noexcept { decide(NFQNL_MSG_VERDICT, id, NF_DROP, nullptr); }

// The kernel has the hook decide again that has queued the packet.
void PacketQueue::askAnew() noexcept { decideOnAll(NF_REPEAT); }

void PacketQueue::decideOnAll(int verdict) noexcept {
  // A batch takes every packet up to an id, and ids go round: so far ahead are all that can be there.
  constexpr std::uint32_t kAhead = 1u << 30;
  decide(NFQNL_MSG_VERDICT_BATCH, newest_ + kAhead, verdict, nullptr);
}

}  // namespace lemonade::kernel
