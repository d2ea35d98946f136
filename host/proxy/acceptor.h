// SPDX-License-Identifier: MIT
//
// Accepts clients for one worker. All workers share each listening socket, and the kernel wakes one of those that wait,
// in turn; it accepts all that have come, in small batches, and hands those to others of which it has more than its
// share. Without a free place, or without descriptors, it stops watching instead of spinning, and goes on when told
// that there is room or when the pause is over. Worker thread only.
#pragma once

#include "proxy/admission.h"
#include "proxy/listener.h"
#include "proxy/mailbox.h"
#include "proxy/session_set.h"
#include "proxy/sharing.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace lemonade::proxy {

class Acceptor {
 public:
  Acceptor(SessionSet& sessions, Admission& admission, Sharing& sharing, Mailbox& mailbox)
      : sessions_(sessions), admission_(admission), sharing_(sharing), mailbox_(mailbox) {}
  ~Acceptor() { stop(); }
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  /// Begins to accept from a listener, unless it does already. Throws std::bad_alloc, and has then done nothing.
  void listen(std::shared_ptr<const Listener> listener);
  /// Takes in the clients that have already connected to a listener, as far as there are places, and lets go of it.
  void unlisten(const Listener& listener);

  /// Takes in the clients that other workers have handed to this one.
  void takeNewcomers() noexcept { takeIn(mailbox_.inbox.takeAll()); }
  /// Goes on accepting if it stopped for want of places.
  void resume();
  /// Goes on accepting if a pause for want of descriptors is over.
  void handleDue(std::uint64_t now);
  /// When the pause is over; 0 where there is none.
  std::uint64_t nextDue() const noexcept { return paused_until_; }

  /// Lets go of all listeners, in the same way.
  void stop();
  /// Lets go of all listeners and leaves the clients that wait there to the other workers, which must look(): the
  /// kernel may have told nobody else of them.
  void leave();
  /// Takes in the clients that wait.
  void look();

 private:
  struct Source final : Guest {
    Source(Acceptor& owner, std::shared_ptr<const Listener> from) : acceptor(owner), listener(std::move(from)) {}
    void handleReadable() override { acceptor.accept(*this); }

    Acceptor& acceptor;
    const std::shared_ptr<const Listener> listener;
    bool behind = false;  // clients may wait there that came while there was no room
  };

  void accept(Source& source);
  enum class For { kAnybody, kOurselves };
  bool acceptOne(Source& source, For whom);
  bool handOver(Mailbox& to, Fd& client, const Address& address, std::uint16_t local_port) noexcept;
  void takeIn(std::unique_ptr<Newcomer> newcomers) noexcept;
  void handleError(int error);
  void watch(Source& source, bool on);
  void watch(bool on);
  void reset();
  void want(bool room);
  void pauseForRoom();

  SessionSet& sessions_;
  Admission& admission_;
  Sharing& sharing_;
  Mailbox& mailbox_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::size_t next_source_ = 0;
  bool watching_ = true;
  bool wanting_ = false;  // room: the admission counts it
  std::uint64_t paused_until_ = 0;
  std::uint64_t complained_at_ = 0;
};

}  // namespace lemonade::proxy
