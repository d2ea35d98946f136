// SPDX-License-Identifier: MIT
//
// The head of a packet that somebody sent to a listener of kernel forwarding.
#include "target.h"

#include "kernel/packet.h"

#include <algorithm>
#include <cstring>

using lemonade::fuzz::require;
using lemonade::kernel::Tuple;

namespace {

std::optional<Tuple> parse(std::string_view bytes) {
  return lemonade::kernel::parseSyn(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

void check(const Tuple& tuple, std::string_view bytes) {
  const bool is_ipv4 = tuple.family == AF_INET;
  require(is_ipv4 || tuple.family == AF_INET6, "a tuple is of IPv4 or IPv6");
  const std::size_t host = is_ipv4 ? 4 : 16;
  const std::size_t at = is_ipv4 ? 12 : 8;
  require(std::memcmp(tuple.source_host.data(), bytes.data() + at, host) == 0, "the source is that of the packet");
  require(std::memcmp(tuple.destination_host.data(), bytes.data() + at + host, host) == 0,
          "the destination is that of the packet");
  require(Tuple::between(tuple.source(), tuple.destination()) == tuple, "a tuple is the one between its ends");
  require(tuple.reversed().reversed() == tuple, "what is turned round twice is as it was");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = lemonade::fuzz::textOf(data, size);
  const auto tuple = parse(bytes);
  if (tuple) check(*tuple, bytes);
  // Of what is cut short, less is known, but nothing else.
  bool found = false;
  for (std::size_t head = 0; head <= std::min(size, lemonade::kernel::kPacketHeadSize); ++head) {
    const auto cut = parse(bytes.substr(0, head));
    require(!found || cut, "more bytes do not hide a tuple");
    require(!cut || cut == tuple, "the head of a packet has the tuple of the packet");
    found = found || cut;
  }
  return 0;
}
