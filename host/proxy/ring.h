// SPDX-License-Identifier: MIT
//
// An io_uring instance of one thread: what it asks of the kernel is gathered and handed over with the wait for what is
// done, in one system call. Completions are run only in that call (DEFER_TASKRUN), by the one thread that uses the ring
// (SINGLE_ISSUER); no thread of the kernel works for it. Needs Linux 6.1.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <optional>

namespace lemonade::proxy {

/// A request that is done, as the kernel tells it.
struct Completion {
  std::uint64_t user_data;  ///< of the request
  std::int32_t result;      ///< what the system call would have returned, or a negative errno
  std::uint32_t flags;      ///< IORING_CQE_F_*
};

class Ring {
 public:
  /// Throws std::system_error where the kernel does not offer it, or forbids it.
  Ring();
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  io_uring& get() noexcept { return ring_; }

  /// The calling thread is the one from now on. Throws std::system_error.
  void enable();

  /// The next request to fill in, zeroed; the caller names it by anything but all bits set. Handed over with the next
  /// wait, or earlier where there are too many.
  io_uring_sqe& next() noexcept;
  /// The request just filled in completes as soon as it is handed over: no reason to wake up, other than to look at
  /// what came of it within 20 ms.
  void expectAtOnce() noexcept { ++at_once_; }

  /// The next wait, or the one under way, comes back within 20 ms.
  void lookAgainSoon() noexcept;

  /// Hands over everything and waits until something is done besides what completes at once; with gather_ns, that long
  /// for up to `enough` more. Comes back without where a signal arrives.
  void wait(std::uint64_t gather_ns, unsigned enough) noexcept;
  /// The next thing that is done; nothing where all has been taken.
  std::optional<Completion> pop() noexcept {
    unsigned head;
    io_uring_cqe* first;
    io_uring_for_each_cqe(&ring_, head, first) {
      const Completion done{first->user_data, first->res, first->flags};
      ::io_uring_cq_advance(&ring_, 1);
      if (done.user_data != kLookAgain) return done;
      looks_again_ = false;
    }
    return std::nullopt;
  }
  /// Hands over everything and runs what has completed, without waiting.
  void submit() noexcept { enter(0, 0); }

 private:
  static constexpr std::uint64_t kLookAgain = ~std::uint64_t{0};

  unsigned flush() noexcept;
  void enter(unsigned wait_for, std::uint64_t gather_ns) noexcept;

  io_uring ring_{};
  unsigned at_once_ = 0;      // of the requests not handed over yet
  bool looks_again_ = false;  // a timer runs that wakes us
};

}  // namespace lemonade::proxy
