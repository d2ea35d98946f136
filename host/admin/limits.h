// SPDX-License-Identifier: MIT
//
// How long a client of the admin listener may take, and how much it may use. Plain data.
#pragma once

#include <cstddef>

#include "base/clock.h"

namespace lemonade::admin {

struct Limits {
  Duration request_time = std::chrono::seconds(5);    ///< from accept, or its first byte, until a request has been read
  Duration response_time = std::chrono::seconds(60);  ///< for the answer to be made, and again to be written
  Duration idle_time = std::chrono::seconds(3);       ///< between two requests of one connection
  std::size_t head = std::size_t{16} << 10;           ///< bytes; more is answered with 431
  std::size_t body = std::size_t{1} << 20;            ///< bytes; more is answered with 413
  std::size_t connections = 512;                      ///< beyond, the one that dawdles longest makes room
  std::size_t unsent = std::size_t{128} << 20;        ///< bytes of answers; beyond, the slowest reader makes room
  std::size_t threads = 4;                            ///< for what takes a while
};

}  // namespace lemonade::admin
