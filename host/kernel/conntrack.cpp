// SPDX-License-Identifier: MIT
#include "kernel/conntrack.h"

#include "kernel/conntrack_object.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace lemonade::kernel {
namespace {

using RequestBuffer = NetfilterSocket::Buffer<1024>;

constexpr std::size_t kRequestSize = 128;  // more than one about an IPv6 connection has
constexpr std::size_t kAtOnce = 32;        // the answers to so many find room in the receive buffer

nlmsghdr* beginRequest(char* at, int type, std::uint16_t family) noexcept {
  auto* const message = mnl_nlmsg_put_header(at);
  message->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
  message->nlmsg_flags = NLM_F_REQUEST;
  auto* const part = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
  part->nfgen_family = static_cast<std::uint8_t>(family);
  part->version = NFNETLINK_V0;
  return message;
}

void setOriginal(nf_conntrack* object, const Tuple& tuple) noexcept {
  const bool is_ipv4 = tuple.family == AF_INET;
  nfct_set_attr_u8(object, ATTR_L3PROTO, static_cast<std::uint8_t>(tuple.family));
  nfct_set_attr_u8(object, ATTR_L4PROTO, IPPROTO_TCP);
  nfct_set_attr(object, is_ipv4 ? ATTR_IPV4_SRC : ATTR_IPV6_SRC, tuple.source_host.data());
  nfct_set_attr(object, is_ipv4 ? ATTR_IPV4_DST : ATTR_IPV6_DST, tuple.destination_host.data());
  nfct_set_attr_u16(object, ATTR_PORT_SRC, htons(tuple.source_port));
  nfct_set_attr_u16(object, ATTR_PORT_DST, htons(tuple.destination_port));
}

/// A request about one connection, of kRequestSize at most; null where there is no memory or the tuple names none.
nlmsghdr* requestFor(char* at, int type, const Tuple& original) noexcept {
  if (original.family != AF_INET && original.family != AF_INET6) return nullptr;
  const ConntrackObject object(nfct_new());
  if (!object) return nullptr;
  auto* const message = beginRequest(at, type, original.family);
  setOriginal(object.get(), original);
  return nfct_nlmsg_build(message, object.get()) == 0 ? message : nullptr;
}

bool isEntry(const nlmsghdr& message) noexcept {
  return message.nlmsg_type == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW);
}

/// The kernel makes the id of an entry of its original tuple and its place in memory, which the next connection with
/// the same tuple may get: the id alone does not tell the two apart.
bool isSameFlow(const FlowEntry& found, const FlowEntry& flow) noexcept {
  const bool dated = found.start_unix_ns != 0 && flow.start_unix_ns != 0;
  return found.id == flow.id && found.reply == flow.reply && (!dated || found.start_unix_ns == flow.start_unix_ns);
}

/// Asks for an entry that nobody has. ENOENT is the answer of a kernel that answers.
int tryConntrack(NetfilterSocket& socket) noexcept {
  RequestBuffer buffer;
  Tuple nobody;
  nobody.family = AF_INET;
  auto* const request = requestFor(buffer.data(), IPCTNL_MSG_CT_GET, nobody);
  if (request == nullptr) return ENOMEM;
  const int error = socket.ask(*request);
  return error == ENOENT ? 0 : error;
}

}  // namespace

Result<Conntrack> Conntrack::open() {
  auto socket = NetfilterSocket::open(kConntrackPart);
  if (!socket) return std::move(socket).error();
  if (const int error = tryConntrack(socket.value()))
    return netfilterError("ask for tracked connections", error, kConntrackPart);
  return Conntrack(std::move(socket).value());
}

std::optional<FlowEntry> Conntrack::find(const Tuple& original) {
  std::optional<FlowEntry> found;
  find(std::span(&original, 1), [&](const FlowEntry& entry) { found = entry; });
  return found;
}

void Conntrack::find(std::span<const Tuple> originals, const std::function<void(const FlowEntry&)>& visit) {
  NetfilterSocket::Buffer<kAtOnce * kRequestSize> buffer;
  while (!originals.empty()) {
    const auto some = originals.first(std::min(originals.size(), kAtOnce));
    originals = originals.subspan(some.size());
    std::size_t size = 0;
    for (const auto& original : some)
      if (const auto* const request = requestFor(buffer.data() + size, IPCTNL_MSG_CT_GET, original))
        size += NLMSG_ALIGN(request->nlmsg_len);
    socket_.get(std::span(buffer.bytes).first(size), [&](const nlmsghdr& message) {
      const auto entry = isEntry(message) ? readFlowEntry(message) : std::nullopt;
      // The kernel looks among the tuples of both directions.
      if (entry && std::find(some.begin(), some.end(), entry->original) != some.end()) visit(*entry);
    });
  }
}

bool Conntrack::remove(const FlowEntry& flow) {
  const auto found = find(flow.original);
  if (!found || !isSameFlow(*found, flow)) return false;
  RequestBuffer buffer;
  auto* const request = requestFor(buffer.data(), IPCTNL_MSG_CT_DELETE, flow.original);
  if (request == nullptr) return false;
  mnl_attr_put_u32(request, CTA_ID, htonl(flow.id));
  return socket_.ask(*request) == 0;
}

bool Conntrack::hasten(const FlowEntry& flow, std::uint32_t seconds) {
  RequestBuffer buffer;
  auto* const request = requestFor(buffer.data(), IPCTNL_MSG_CT_NEW, flow.original);
  if (request == nullptr) return false;
  mnl_attr_put_u32(request, CTA_TIMEOUT, htonl(seconds));
  return socket_.ask(*request) == 0;  // of one that is not there it makes none
}

Status Conntrack::each(std::uint32_t mark, std::uint32_t mask, const std::function<void(const FlowEntry&)>& visit) {
  // On a socket of its own, so that the visit has the other one for itself.
  auto opened = NetfilterSocket::open(kConntrackPart);
  if (!opened) return std::move(opened).error();
  auto& socket = opened.value();
  RequestBuffer request_buffer;
  auto* const request = beginRequest(request_buffer.data(), IPCTNL_MSG_CT_GET, AF_UNSPEC);
  const DumpFilter filter(nfct_filter_dump_create());
  if (!filter) return netfilterError("list tracked connections", ENOMEM, kConntrackPart);
  const nfct_filter_dump_mark wanted{mark & mask, mask};
  nfct_filter_dump_set_attr(filter.get(), NFCT_FILTER_DUMP_MARK, &wanted);
  nfct_nlmsg_build_filter(request, filter.get());
  const int error = socket.dump(*request, [&](const nlmsghdr& message) {
    if (!isEntry(message)) return;
    if (const auto flow = readFlowEntry(message)) visit(*flow);
  });
  if (error != 0) return netfilterError("list tracked connections", error, kConntrackPart);
  return success();
}

}  // namespace lemonade::kernel
