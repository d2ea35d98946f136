// SPDX-License-Identifier: MIT
//
// The sessions of one pool at one worker that have no connected backend yet, in lists that are ordered by time: another
// pool's sessions are never looked at for the sake of this one's. Made when the pool gets its first session at the
// worker, and freed with the pool. Worker thread only.
#pragma once

#include "balance/pool.h"
#include "proxy/session.h"

#include <boost/intrusive/list.hpp>

#include <cstdint>

namespace lemonade::proxy {

struct PoolSessions final : PoolAttachment {
  PoolSessions(Pool& its_pool, PoolAtWorker& its_at) : pool(its_pool), at(its_at) {}

  Pool& pool;
  PoolAtWorker& at;

  std::uint32_t relayed = 0;  ///< sessions of the pool at the worker
  SessionList connecting;
  SessionList pausing;  ///< until when they are listed
  SessionList queued;
  std::uint64_t look_at = 0;        ///< at the queue, for those whom a backend failed; 0: nobody in it was failed
  std::uint64_t served_serial = 0;  ///< of the view with which the queue was last looked at

  // Of the connector.
  std::uint64_t last_turn = 0;      ///< given to a session that pauses
  std::uint64_t complained_at = 0;  ///< of source ports
  std::uint64_t invalid_logged_at = 0;
  std::uint64_t slow_logged_at = 0;

  boost::intrusive::list_member_hook<> active_hook;    ///< linked while the pool has sessions at the worker
  boost::intrusive::list_member_hook<> queueing_hook;  ///< linked while one of them is queued
};

}  // namespace lemonade::proxy
