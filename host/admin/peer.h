// SPDX-License-Identifier: MIT
//
// Who is at the other end of a connection, as the kernel tells. Plain data.
#pragma once

#include <string>

namespace lemonade::admin {

struct Peer {
  enum class From {
    kUnix,      ///< came by the Unix socket: its file says who may
    kLoopback,  ///< of this machine
    kElsewhere,
  };

  From from = From::kElsewhere;
  std::string text = {};  ///< "127.0.0.1:40312", "[::1]:40312", "unix:uid=1000 pid=77"
};

/// Of a connected socket. What the kernel cannot tell is from elsewhere, and has no text.
Peer peerOf(int socket);

}  // namespace lemonade::admin
