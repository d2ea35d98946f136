// SPDX-License-Identifier: MIT
//
// What passes between a pool and its shadow: a second strategy that is asked beside the one that decides, on views of
// its own of the same backends, and whose answers are only counted. It is asked first, so that neither sees what the
// other one's answer has changed, and what it answered is settled once the pick is known.
//
// Where both gave the same backend the session is the shadow's, too: it hears all of it, with its cookie. Where they
// did not, the shadow's answer is taken back at once (ABANDONED), and what it hears of the session is foreign, as of a
// pick that the host made in its place. Worker thread.
#pragma once

#include <cstdint>

namespace lemonade {

class Backend;
class View;

/// What a shadow answered for a connection.
struct ShadowAnswer {
  const View* view = nullptr;  ///< the shadow's; null: nobody was asked. Valid until the worker next announces itself
  Backend* backend = nullptr;  ///< null: it gave none
  std::uint64_t cookie = 0;
};

/// How a session stands to the shadow.
struct ShadowTie {
  std::uint64_t cookie = 0;
  std::uint64_t generation = 0;  ///< of the shadow that gave the session's backend, too; 0: none did
};

}  // namespace lemonade
