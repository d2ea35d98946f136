// SPDX-License-Identifier: MIT
//
// What a worker's thread waits in: one call hands everything to the kernel, waits until something is ready and handles
// it. The sessions are the relay's own; every other descriptor is a guest. Worker thread only, but for construction.
#pragma once

#include <cstdint>

namespace lemonade::proxy {

/// Is told when the descriptor is ready that it was added to an EventLoop with.
class Guest {
 public:
  /// `events` are those of poll(2): POLLIN, POLLOUT, POLLERR, POLLHUP. The loop calls it again until the descriptor is
  /// no longer ready. It may add and remove guests, itself among them.
  virtual void handleReady(std::uint32_t events) noexcept = 0;

 protected:
  ~Guest() = default;
};

class EventLoop {
 public:
  /// How many of the workers that wait for one descriptor the kernel wakes.
  enum class Wake {
    kOne,  ///< the workers take turns; only for descriptors that are waited for with POLLIN
    kEach,
  };

  virtual ~EventLoop() = default;

  /// The worker's thread begins. Throws std::system_error where the kernel refuses what the loop needs.
  virtual void attach() = 0;
  /// From now on wait() does not wait.
  virtual void leave() noexcept = 0;
  /// The worker's thread ends: nothing is waited for any more.
  virtual void detach() noexcept = 0;

  /// Calls the guest whenever one of these events of poll(2) is there at the descriptor, until removeGuest(). Each
  /// descriptor has one guest. The caller keeps both. Throws std::bad_alloc, and has then done nothing.
  virtual void addGuest(int fd, std::uint32_t events, Guest& guest, Wake wake) = 0;
  virtual void removeGuest(int fd) noexcept = 0;

  /// Waits until something is ready, and handles it.
  virtual void wait() noexcept = 0;
};

}  // namespace lemonade::proxy
