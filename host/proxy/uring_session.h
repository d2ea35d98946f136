// SPDX-License-Identifier: MIT
//
// A session with what the relay over io_uring needs to move its bytes.
#pragma once

#include "proxy/ring_buffers.h"
#include "proxy/session.h"

#include <boost/intrusive/list.hpp>

#include <cstdint>

namespace lemonade::proxy {

/// What the kernel is asked to do at one endpoint, and the chain of buffers that wait to be sent to it. Endpoint::owed
/// is the length of the chain.
struct UringEnd {
  bool connecting = false;
  bool receiving = false;
  bool sending = false;  ///< the first buffer of the chain
  bool watched = false;  ///< for a reset
  bool starved = false;  ///< receiving waits for a buffer
  bool eager = false;    ///< the last receive got all it asked for
  bool stalled = false;  ///< the send under way waits for the socket to take more
  RingBuffers::Id first = 0;
  RingBuffers::Id last = 0;
  std::uint32_t sent = 0;   ///< bytes of the first buffer that are gone already
  std::uint32_t asked = 0;  ///< bytes that the receive under way takes at most
};

struct UringSession final : Session {
  UringEnd client_end;
  UringEnd backend_end;
  std::uint16_t in_kernel = 0;                         ///< requests of the kernel that refer to it
  std::uint16_t round = 0;                             ///< counts its attempts to connect
  boost::intrusive::list_member_hook<> settling_hook;  ///< its place among those whose ends are looked at
  boost::intrusive::list_member_hook<> starved_hook;   ///< its place among those that wait for a buffer

  UringEnd& end(Side side) noexcept { return side == Side::kClient ? client_end : backend_end; }
  const UringEnd& end(Side side) const noexcept { return side == Side::kClient ? client_end : backend_end; }
};

}  // namespace lemonade::proxy
