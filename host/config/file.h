// SPDX-License-Identifier: MIT
//
// The content of a configuration file, whatever its path leads to: in bounded memory always, in bounded time unless a
// file system does not answer. Stateless; any thread that may wait.
#pragma once

#include "base/result.h"

#include <string>

namespace lemonade::config {

/// What becomes of a path that leads to no file, but to what is read once: a pipe, as "/dev/stdin" and "<(...)" may be,
/// a FIFO, a socket, a terminal.
enum class Streams {
  kRead,   ///< to its end, for which it is waited up to 20 s, and up to 10 s for each piece
  kRefuse  ///< at once, without opening it
};

struct Content {
  std::string text;
  bool again = true;  ///< it is there to be read again: it did not come through a stream
};

/// Up to 16 MiB; no directory, no device but a terminal and /dev/null. Errors are words that follow the path.
Result<Content> readContent(const std::string& path, Streams streams);

}  // namespace lemonade::config
