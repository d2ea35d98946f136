// SPDX-License-Identifier: MIT
//
// A session with what the relay over epoll needs to move its bytes.
#pragma once

#include "proxy/buffers.h"
#include "proxy/session.h"

#include <boost/intrusive/list.hpp>

#include <cstdint>
#include <memory>

namespace lemonade::proxy {

/// What the relay knows of one endpoint. Readable and writable are remembered from edges.
struct EpollEnd {
  bool readable = false;         ///< a read may give something
  bool writable = false;         ///< a write may take something
  bool hung_up = false;          ///< a FIN or RST has come: read until it shows
  std::uint32_t pending_at = 0;  ///< first byte of pending that waits
  std::uint32_t pending_end = 0;
  std::unique_ptr<Buffer> pending;  ///< bytes that wait to be written to the endpoint; null where none do
};

struct EpollSession final : Session {
  EpollEnd client_end;
  EpollEnd backend_end;
  boost::intrusive::list_member_hook<> again_hook;  ///< its place among those that the relay comes back to

  EpollEnd& end(Side side) noexcept { return side == Side::kClient ? client_end : backend_end; }
  const EpollEnd& end(Side side) const noexcept { return side == Side::kClient ? client_end : backend_end; }
};

}  // namespace lemonade::proxy
