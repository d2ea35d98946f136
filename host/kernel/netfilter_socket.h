// SPDX-License-Identifier: MIT
//
// A netlink socket to netfilter, with which the kernel is asked and which it tells things. It belongs to the network
// namespace of the thread that opened it. No call on it waits: the kernel answers a request before send() returns.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

namespace lemonade::kernel {

/// The part of the kernel that a request goes to, for errors.
struct NetfilterPart {
  const char* module;  ///< as modprobe takes it
  const char* option;  ///< of the kernel's configuration
};

inline constexpr NetfilterPart kQueuePart = {"nfnetlink_queue", "CONFIG_NETFILTER_NETLINK_QUEUE"};
inline constexpr NetfilterPart kTablesPart = {"nf_tables", "CONFIG_NF_TABLES"};
inline constexpr NetfilterPart kConntrackPart = {"nf_conntrack_netlink", "CONFIG_NF_CT_NETLINK"};

/// Says in a sentence why the kernel refused what `doing` names ("bind a queue of packets"), and the mend where there
/// is one.
Error netfilterError(const std::string& doing, int error, const NetfilterPart& part);

/// Move only. One thread at a time.
class NetfilterSocket {
 public:
  /// Enough for every message but those of a dump.
  static constexpr std::size_t kMessageSize = 8192;
  /// Enough for those of a dump too.
  static constexpr std::size_t kDumpSize = 32768;

  /// Room for a datagram, not initialised.
  template <std::size_t kSize>
  struct Buffer {
    alignas(nlmsghdr) std::array<std::byte, kSize> bytes;

    char* data() noexcept { return reinterpret_cast<char*>(bytes.data()); }
    operator std::span<std::byte>() noexcept { return bytes; }
  };

  static Result<NetfilterSocket> open(const NetfilterPart& part);

  /// -1 once it is closed or moved from.
  int fd() const noexcept { return fd_.get(); }
  void close() noexcept { fd_.reset(); }

  /// Room for so many bytes that wait to be received, as far as the kernel grants it.
  void setReceiveBuffer(std::size_t bytes) noexcept;
  /// Joins multicast groups, the bits of which <linux/netfilter/nfnetlink_compat.h> names. Returns 0 or an errno.
  int join(std::uint32_t groups) noexcept;

  /// Sends messages, one behind the other. Returns 0 or an errno, which says nothing of what the kernel thinks of them.
  int send(std::span<const std::byte> messages) noexcept;
  int send(const nlmsghdr& message) noexcept;

  struct Received {
    std::span<const std::byte> bytes;  ///< whole messages, within the buffer; none where error is not 0
    int error = 0;                     ///< EAGAIN: there is nothing; ENOBUFS: something was lost before what comes next
  };
  Received receive(std::span<std::byte> buffer) noexcept;

  using Visit = std::function<void(const nlmsghdr&)>;

  /// Sends a request and visits what the kernel answers. Returns 0 or the errno that the kernel answers last. The
  /// request gets NLM_F_ACK, and a sequence number.
  int ask(nlmsghdr& request, const Visit& visit = {});
  /// The same for requests, one behind the other, each of which one message answers, by itself or by an error. They get
  /// no NLM_F_ACK, which would make them two. Returns 0, or the errno for which answers are missing.
  int get(std::span<std::byte> requests, const Visit& visit);
  /// The same for a request that lists things.
  int dump(nlmsghdr& request, const Visit& visit);

 private:
  int converse(nlmsghdr& request, std::uint16_t flags, const Visit& visit);

  explicit NetfilterSocket(Fd fd) noexcept : fd_(std::move(fd)) {}

  Fd fd_;
  std::uint32_t sequence_ = 0;
};

/// Calls visit(const nlmsghdr&) for each message of a datagram, as long as it returns true.
template <class Visit>
void forEachMessage(std::span<const std::byte> bytes, Visit&& visit) {
  int left = static_cast<int>(bytes.size());
  auto* message = reinterpret_cast<const nlmsghdr*>(bytes.data());
  for (; mnl_nlmsg_ok(message, left) && visit(*message); message = mnl_nlmsg_next(message, &left)) {
  }
}

}  // namespace lemonade::kernel
