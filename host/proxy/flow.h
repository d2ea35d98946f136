// SPDX-License-Identifier: MIT
//
// A flow: one client whose bytes the kernel forwards to its backend, and what is known of it. It is asked for once, by
// the first packet of the connection, and from then on heard of by the events of conntrack. Plain data, some 170 bytes;
// belongs to the FlowSet. Worker thread only.
#pragma once

#include "balance/shadow.h"
#include "kernel/tuple.h"
#include "proxy/served.h"
#include "proxy/session.h"

#include <boost/intrusive/list.hpp>

#include <cstdint>

namespace lemonade::proxy {

struct Flow : Served {
  enum class State : std::uint8_t {
    kNew,         ///< in no list yet
    kHeld,        ///< its first packet waits for a place at a backend
    kConnecting,  ///< its first packet has gone to a backend, which has not answered it yet
    kRetrying,    ///< a backend did not answer or has refused: the client's next try is waited for
    kConnected,
    kEnding,  ///< client and backend have ended it; what it has moved is asked for next
  };

  const kernel::Tuple* tuple = nullptr;  ///< from the client to the listener; the key of the flow in its set
  std::uint32_t entry = 0;               ///< the id of its entry in conntrack; 0: not known yet
  std::uint32_t packet = 0;              ///< of kHeld: the id of its first packet in the queue
  State state = State::kNew;
  CloseReason reason = CloseReason::kDone;
  std::uint8_t attempt = 0;       ///< backends that its first packet was sent to
  bool retries : 1 = false;       ///< a refusal by its backend is kept from the client, who comes again
  bool keeps_source : 1 = false;  ///< the backend sees the client's address
  bool queued : 1 = false;        ///< from its first packet on it had to wait for a place
  bool found : 1 = true;          ///< by the last look at all entries of conntrack
  bool missed : 1 = false;        ///< by the look before that
  bool lent : 1 = false;          ///< the process before counts what it moves, and its end
  bool awaits_table : 1 = false;  ///< a backend was put aside that the table does not have yet
  bool hastened : 1 = false;      ///< its backend is done, and its entry was given half_close_timeout

  std::uint64_t cookie = 0;
  std::uint64_t generation = 0;
  ShadowTie shadow;
  const Backend* failed = nullptr;  ///< the last one that did not answer; only to be compared

  // Monotonic nanoseconds; 0: not yet.
  std::uint64_t came_at = 0;
  std::uint64_t sent_at = 0;  ///< its first packet, to the backend
  std::uint64_t connected_at = 0;

  // Of packets with their headers, as far as they are in the counters of the backend.
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;

  boost::intrusive::list_member_hook<> state_hook;  ///< of the list of its state

  /// Conntrack has no entry of it now, so that nothing it says is about this flow.
  bool isWithoutEntry() const noexcept { return state == State::kHeld || state == State::kRetrying; }
};

/// With its place in the set that is a block of 224 bytes, so that a connection takes less than 256 while it lives, as
/// docs/kernel-forwarding.md promises.
static_assert(sizeof(Flow) <= 168);

using FlowList = boost::intrusive::list<
    Flow, boost::intrusive::member_hook<Flow, boost::intrusive::list_member_hook<>, &Flow::state_hook>>;

}  // namespace lemonade::proxy
