// SPDX-License-Identifier: MIT
//
// The last picks of a pool as a document. Any thread.
#pragma once

#include "balance/backend.h"
#include "balance/pick_recorder.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lemonade {

struct PicksStatus {
  std::string pool;
  std::string strategy;
  bool recording = false;
  std::uint64_t until_unix_ns = 0;  ///< 0: nobody has looked of late
  std::vector<PickRecord> records;  ///< the eldest first
  /// Whose ids and addresses the picks are shown with; of others there is the identity alone.
  std::vector<std::shared_ptr<Backend>> backends;
  std::uint64_t unix_offset_ns = 0;  ///< from the monotonic clock to that of the wall
};

/// The body of /api/v1/pools/POOL/why.
std::string picksJson(const PicksStatus& picks);

}  // namespace lemonade
