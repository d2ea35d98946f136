// SPDX-License-Identifier: MIT
//
// What a client has in common whoever moves its bytes, a relay (Session) or the kernel (Flow): where it came in, the
// pool and the backend that it was given, and the drain that ends it. Worker thread only.
#pragma once

#include <boost/intrusive/list_hook.hpp>

namespace lemonade {
class Backend;
class Pool;
}  // namespace lemonade

namespace lemonade::proxy {

class Drain;
class Listener;

struct Served {
  // Where it came in, and the pool that the listener led to then. Constant once it is counted there.
  Listener* listener = nullptr;
  Pool* pool = nullptr;
  Backend* target = nullptr;  ///< holds a place there while not null

  // The drain that ends it, once that has begun, and its place there; see drains.h.
  Drain* drain = nullptr;
  boost::intrusive::list_member_hook<> drain_hook;

 protected:
  Served() = default;
  ~Served() = default;
};

}  // namespace lemonade::proxy
