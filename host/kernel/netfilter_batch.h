// SPDX-License-Identifier: MIT
//
// Datagrams of a netfilter socket, received several at a time: a call of the kernel for each would be most of what they
// cost.
#pragma once

#include "kernel/netfilter_socket.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <span>

namespace lemonade::kernel {

class NetfilterBatch {
 public:
  static constexpr unsigned kMost = 16;
  /// More than any event of a connection has, or the head of a packet with what is said of it.
  static constexpr std::size_t kDatagramSize = 2048;

  NetfilterBatch() noexcept;
  NetfilterBatch(const NetfilterBatch&) = delete;
  NetfilterBatch& operator=(const NetfilterBatch&) = delete;

  /// Receives what is there, without waiting. Returns 0 or an errno. EAGAIN: nothing is there; ENOBUFS: something was
  /// lost before what comes next.
  int receive(const NetfilterSocket& socket) noexcept;

  /// How many datagrams there were.
  unsigned size() const noexcept { return size_; }
  /// Calls visit(const nlmsghdr&) for each message. True where there was no room for some.
  template <class Visit>
  bool each(Visit&& visit) const {
    bool lost = false;
    for (unsigned i = 0; i < size_; ++i) {
      lost = lost || isCut(i);
      forEachMessage(messagesOf(i), [&](const nlmsghdr& message) {
        visit(message);
        return true;
      });
    }
    return lost;
  }

 private:
  bool isCut(unsigned index) const noexcept { return (headers_[index].msg_hdr.msg_flags & MSG_TRUNC) != 0; }
  /// None where somebody else than the kernel has sent them, or there was no room.
  std::span<const std::byte> messagesOf(unsigned index) const noexcept;

  unsigned size_ = 0;
  std::array<mmsghdr, kMost> headers_;
  std::array<iovec, kMost> parts_;
  std::array<sockaddr_nl, kMost> senders_;
  std::array<NetfilterSocket::Buffer<kDatagramSize>, kMost> buffers_;
};

/// Calls visit(const nlmsghdr&) for the messages of the datagrams that are there, of some `most` at the most. True
/// where datagrams were lost.
template <class Visit>
bool readMessages(const NetfilterSocket& socket, unsigned most, Visit&& visit) {
  NetfilterBatch batch;
  bool lost = false;
  for (unsigned taken = 0; taken < most; taken += NetfilterBatch::kMost) {
    const int error = batch.receive(socket);
    if (error == EAGAIN) break;
    lost = lost || error != 0;
    if (batch.each(visit)) lost = true;
    if (error == 0 && batch.size() < NetfilterBatch::kMost) break;  // there was no more
  }
  return lost;
}

}  // namespace lemonade::kernel
