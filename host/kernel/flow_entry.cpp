// SPDX-License-Identifier: MIT
#include "kernel/flow_entry.h"

#include "kernel/conntrack_object.h"

#include <netinet/in.h>

#include <cstring>

namespace lemonade::kernel {
namespace {

/// The attributes of one direction.
struct DirectionAttributes {
  nf_conntrack_attr ipv4_source, ipv4_destination, ipv6_source, ipv6_destination, port_source, port_destination;
};

constexpr DirectionAttributes kOriginal = {ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_SRC,
                                           ATTR_ORIG_IPV6_DST, ATTR_ORIG_PORT_SRC, ATTR_ORIG_PORT_DST};
constexpr DirectionAttributes kReply = {ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV4_DST, ATTR_REPL_IPV6_SRC,
                                        ATTR_REPL_IPV6_DST, ATTR_REPL_PORT_SRC, ATTR_REPL_PORT_DST};

/// Zeros where the message does not say it.
void copyFlowHost(const nf_conntrack* entry, nf_conntrack_attr attribute, std::size_t size, Tuple::Host& to) {
  if (const void* const host = nfct_get_attr(entry, attribute)) std::memcpy(to.data(), host, size);
}

Tuple readTuple(const nf_conntrack* entry, std::uint16_t family, const DirectionAttributes& from) {
  const bool is_ipv4 = family == AF_INET;
  const std::size_t size = is_ipv4 ? sizeof(in_addr) : sizeof(in6_addr);
  Tuple tuple;
  tuple.family = family;
  copyFlowHost(entry, is_ipv4 ? from.ipv4_source : from.ipv6_source, size, tuple.source_host);
  copyFlowHost(entry, is_ipv4 ? from.ipv4_destination : from.ipv6_destination, size, tuple.destination_host);
  tuple.source_port = ntohs(nfct_get_attr_u16(entry, from.port_source));
  tuple.destination_port = ntohs(nfct_get_attr_u16(entry, from.port_destination));
  return tuple;
}

TcpState stateOf(const nf_conntrack* entry) {
  const auto state = nfct_get_attr_u8(entry, ATTR_TCP_STATE);  // 0 where it is not said
  return state <= static_cast<std::uint8_t>(TcpState::kSynSent2) ? TcpState{state} : TcpState::kNone;
}

}  // namespace

std::optional<FlowEntry> readFlowEntry(const nlmsghdr& message) {
  const ConntrackObject object(nfct_new());
  const nf_conntrack* const entry = object.get();
  if (entry == nullptr || nfct_nlmsg_parse(&message, object.get()) != 0) return std::nullopt;
  const std::uint16_t family = nfct_get_attr_u8(entry, ATTR_L3PROTO);
  if (nfct_get_attr_u8(entry, ATTR_L4PROTO) != IPPROTO_TCP || (family != AF_INET && family != AF_INET6))
    return std::nullopt;
  FlowEntry flow;
  flow.original = readTuple(entry, family, kOriginal);
  flow.reply = readTuple(entry, family, kReply);
  flow.id = nfct_get_attr_u32(entry, ATTR_ID);
  flow.mark = nfct_get_attr_u32(entry, ATTR_MARK);
  flow.state = stateOf(entry);
  const auto status = nfct_get_attr_u32(entry, ATTR_STATUS);
  flow.assured = (status & IPS_ASSURED) != 0;
  flow.seen_reply = (status & IPS_SEEN_REPLY) != 0;
  flow.backend_finished = (nfct_get_attr_u8(entry, ATTR_TCP_FLAGS_REPL) & IP_CT_TCP_FLAG_CLOSE_INIT) != 0;
  flow.seconds_left = nfct_get_attr_u32(entry, ATTR_TIMEOUT);
  flow.counted = nfct_attr_is_set(entry, ATTR_ORIG_COUNTER_PACKETS) > 0;
  flow.packets_in = nfct_get_attr_u64(entry, ATTR_ORIG_COUNTER_PACKETS);
  flow.packets_out = nfct_get_attr_u64(entry, ATTR_REPL_COUNTER_PACKETS);
  flow.bytes_in = nfct_get_attr_u64(entry, ATTR_ORIG_COUNTER_BYTES);
  flow.bytes_out = nfct_get_attr_u64(entry, ATTR_REPL_COUNTER_BYTES);
  flow.start_unix_ns = nfct_get_attr_u64(entry, ATTR_TIMESTAMP_START);
  flow.stop_unix_ns = nfct_get_attr_u64(entry, ATTR_TIMESTAMP_STOP);
  return flow;
}

}  // namespace lemonade::kernel
