// SPDX-License-Identifier: MIT
#include "proxy/ring.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <system_error>

namespace lemonade::proxy {

namespace {

constexpr unsigned kRequests = 2048;
constexpr unsigned kCompletions = 16384;

// Since Linux 6.12, which the headers of Debian 12 do not know: a wait for several comes back with one after this long.
constexpr unsigned kFeatureMinimumWait = 1U << 15;
struct WaitArgument {
  std::uint64_t signals = 0;
  std::uint32_t signals_size = _NSIG / 8;
  std::uint32_t minimum_us = 0;
  std::uint64_t timeout = 0;
};

void check(int result, const char* what) {
  if (result < 0) throw std::system_error(-result, std::generic_category(), what);
}

}  // namespace

Ring::Ring() {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
  params.cq_entries = kCompletions;
  check(::io_uring_queue_init_params(kRequests, &ring_, &params), "io_uring_setup");
}

Ring::~Ring() { ::io_uring_queue_exit(&ring_); }

void Ring::enable() {
  // The liburing of Debian 12 declares io_uring_enable_rings and does not export it.
  const auto enabled = ::syscall(SYS_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  check(enabled < 0 ? -errno : 0, "io_uring_register");
  (void)::io_uring_register_ring_fd(&ring_);  // spares the kernel a look-up at each call, where it can
}

io_uring_sqe& Ring::next() noexcept {
  io_uring_sqe* request = ::io_uring_get_sqe(&ring_);
  while (request == nullptr) {
    submit();
    request = ::io_uring_get_sqe(&ring_);
  }
  std::memset(static_cast<void*>(request), 0, sizeof(*request));
  return *request;
}

// What completes at once may have been cut short, and nothing else may happen that would make us look. One timer serves
// for all that do so while it runs: one for each wait would cost more than the wait.
void Ring::lookAgainSoon() noexcept {
  if (looks_again_) return;
  static __kernel_timespec soon{0, 20'000'000};
  auto& request = next();
  ::io_uring_prep_timeout(&request, &soon, 0, 0);
  request.user_data = kLookAgain;
  looks_again_ = true;
}

void Ring::wait(std::uint64_t gather_ns, unsigned enough) noexcept {
  if (at_once_ != 0) lookAgainSoon();
  if (gather_ns != 0 && (ring_.features & kFeatureMinimumWait) == 0) {
    submit();
    const timespec gather{0, static_cast<long>(gather_ns)};
    (void)::nanosleep(&gather, nullptr);
    gather_ns = 0;
  }
  enter(at_once_ + (gather_ns != 0 ? enough : 1), gather_ns);
}

// What liburing does for its own submit calls, none of which can wait for a minimum time. Counts also what the kernel
// did not take the last time, as when it was short of memory.
unsigned Ring::flush() noexcept {
  io_uring_sq& queue = ring_.sq;
  unsigned tail = *queue.ktail;
  for (; queue.sqe_head != queue.sqe_tail; ++queue.sqe_head, ++tail)
    queue.array[tail & *queue.kring_mask] = queue.sqe_head & *queue.kring_mask;
  __atomic_store_n(queue.ktail, tail, __ATOMIC_RELEASE);
  return tail - __atomic_load_n(queue.khead, __ATOMIC_ACQUIRE);
}

void Ring::enter(unsigned wait_for, std::uint64_t gather_ns) noexcept {
  at_once_ = 0;
  WaitArgument argument;
  argument.minimum_us = static_cast<std::uint32_t>(gather_ns / 1'000);
  unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  if (ring_.enter_ring_fd != ring_.ring_fd) flags |= IORING_ENTER_REGISTERED_RING;
  const int taken = ::io_uring_enter2(static_cast<unsigned>(ring_.enter_ring_fd), flush(), wait_for, flags,
                                      reinterpret_cast<sigset_t*>(&argument), sizeof(argument));
  // What the kernel did not take, for want of memory, it is asked again; not as fast as this thread can.
  if (taken >= 0 || taken == -EINTR) return;
  const timespec moment{0, 1'000'000};
  (void)::nanosleep(&moment, nullptr);
}

}  // namespace lemonade::proxy
