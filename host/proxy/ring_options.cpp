// SPDX-License-Identifier: MIT
#include "proxy/ring_options.h"

#include "base/fd.h"
#include "proxy/socket_state.h"

#include <sys/socket.h>

#include <new>

namespace lemonade::proxy {

void RingOptions::probe() noexcept {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ask(socket.get(), SOL_SOCKET, SO_KEEPALIVE, on);
  ring_.submit();
  int found = 0;
  socklen_t size = sizeof(found);
  offered_ = ::getsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &found, &size) == 0 && found == 1;
}

void RingOptions::set(int fd, int level, int name, int value) noexcept try {
  if (!offered_) return setOption(fd, level, name, value);
  ask(fd, level, name, *values_.insert(value).first);
} catch (const std::bad_alloc&) {
  setOption(fd, level, name, value);
}

// Since Linux 6.7, whose headers name it SOCKET_URING_OP_SETSOCKOPT.
void RingOptions::ask(int fd, int level, int name, const int& value) noexcept {
  constexpr unsigned kSetOption = 3;
  auto& request = ring_.next();
  request.opcode = IORING_OP_URING_CMD;
  request.flags = IOSQE_CQE_SKIP_SUCCESS;
  request.fd = fd;
  request.cmd_op = kSetOption;
  request.addr = static_cast<std::uint64_t>(name) << 32 | static_cast<std::uint32_t>(level);
  request.file_index = sizeof(value);
  request.addr3 = reinterpret_cast<std::uintptr_t>(&value);
}

}  // namespace lemonade::proxy
