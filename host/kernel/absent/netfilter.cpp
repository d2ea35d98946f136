// SPDX-License-Identifier: MIT
//
// A build without forwarding by the kernel: in the place of all sources that use libnetfilter_queue,
// libnetfilter_conntrack, libnftnl or libnftables. Nothing here can be opened, so what is asked of an open one is never
// asked.
#include "kernel/build.h"
#include "kernel/conntrack.h"
#include "kernel/flow_events.h"
#include "kernel/nft.h"
#include "kernel/packet_queue.h"
#include "kernel/queue_rule.h"

namespace lemonade::kernel {

Status checkBuild() {
  return Error{
      "this build has no forwarding by the kernel: it was made with -DLEMONADE_KERNEL_FORWARDING=OFF; write forward = "
      "\"relay\", or take a build with LEMONADE_KERNEL_FORWARDING=ON, as the packages are"};
}

Status runNft(const std::string&) { return checkBuild(); }
Status tryNft(const std::string&) { return checkBuild(); }
Result<std::string> listNft(const std::string&) { return checkBuild().error(); }

Status setQueueTarget(const std::string&, const std::string&, std::uint16_t) { return checkBuild(); }
Status tryQueueTarget(const std::string&) { return checkBuild(); }
Result<std::optional<std::uint16_t>> queueOf(const std::string&, const std::string&) { return checkBuild().error(); }

Result<Conntrack> Conntrack::open() { return checkBuild().error(); }
std::optional<FlowEntry> Conntrack::find(const Tuple&) { return std::nullopt; }
void Conntrack::find(std::span<const Tuple>, const std::function<void(const FlowEntry&)>&) {}
bool Conntrack::remove(const FlowEntry&) { return false; }
bool Conntrack::hasten(const FlowEntry&, std::uint32_t) { return false; }
Status Conntrack::each(std::uint32_t, std::uint32_t, const std::function<void(const FlowEntry&)>&) {
  return checkBuild();
}

Result<FlowEvents> FlowEvents::open(std::uint32_t, std::uint32_t) { return checkBuild().error(); }
std::optional<FlowEvent> FlowEvents::parse(const nlmsghdr&) { return std::nullopt; }

Result<PacketQueue> PacketQueue::open(std::uint16_t, std::uint32_t) { return checkBuild().error(); }
PacketQueue& PacketQueue::operator=(PacketQueue&& other) noexcept {
  socket_ = std::move(other.socket_);
  return *this;
}
void PacketQueue::close() noexcept { socket_.close(); }
bool PacketQueue::parse(const nlmsghdr&, QueuedPacket&) noexcept { return false; }
void PacketQueue::accept(std::uint32_t) noexcept {}
void PacketQueue::accept(std::uint32_t, std::uint32_t) noexcept {}
void PacketQueue::drop(std::uint32_t) noexcept {}
void PacketQueue::askAnew() noexcept {}
void PacketQueue::sendDecisions() noexcept {}

}  // namespace lemonade::kernel
