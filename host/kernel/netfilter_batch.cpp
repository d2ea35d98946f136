// SPDX-License-Identifier: MIT
#include "kernel/netfilter_batch.h"

namespace lemonade::kernel {

NetfilterBatch::NetfilterBatch() noexcept {
  for (unsigned i = 0; i < kMost; ++i) {
    parts_[i] = {buffers_[i].data(), kDatagramSize};
    headers_[i] = {};
    headers_[i].msg_hdr.msg_name = &senders_[i];
    headers_[i].msg_hdr.msg_iov = &parts_[i];
    headers_[i].msg_hdr.msg_iovlen = 1;
  }
}

int NetfilterBatch::receive(const NetfilterSocket& socket) noexcept {
  size_ = 0;
  for (auto& header : headers_) header.msg_hdr.msg_namelen = sizeof(sockaddr_nl);
  int count = 0;
  do {
    count = ::recvmmsg(socket.fd(), headers_.data(), kMost, MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return errno;
  size_ = static_cast<unsigned>(count);
  return 0;
}

std::span<const std::byte> NetfilterBatch::messagesOf(unsigned index) const noexcept {
  // Anybody may send to a netlink socket; only the kernel has the number 0.
  if (isCut(index) || senders_[index].nl_pid != 0) return {};
  return {buffers_[index].bytes.data(), headers_[index].msg_len};
}

}  // namespace lemonade::kernel
