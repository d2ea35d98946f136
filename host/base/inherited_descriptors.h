// SPDX-License-Identifier: MIT
//
// Descriptors that whoever started this process has handed over: a service manager its listening sockets, the
// supervisor these and more. They come as sd_listen_fds(3) describes, each with a name. What nobody takes is closed.
#pragma once

#include "base/fd.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lemonade {

class InheritedDescriptors {
 public:
  /// How the names of sockets begin that a service manager keeps for us over a restart: "kept-proxy-ADDRESS".
  static constexpr const char* kKept = "kept-";

  InheritedDescriptors() = default;
  /// Takes over what LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES speak of, and removes these variables. No child of this
  /// process inherits any of it. Before the first thread is started.
  static InheritedDescriptors fromEnvironment();

  bool empty() const noexcept { return held_.empty(); }
  /// True where sockets were handed over other than those that were kept for us: somebody else listens for us.
  bool activated() const noexcept;
  /// What was kept for us, by the whole name, taken meanwhile or not: the inode of each socket.
  const std::map<std::string, ino_t>& kept() const noexcept { return kept_; }
  /// The first of that name; owns nothing where there is none.
  Fd take(std::string_view name);
  /// A socket that listens at this address. Where its port is 0, one of that name with the same IP address. A Unix
  /// socket must have the name too, unless that is empty, and a file that leads to a socket; its address is a whole
  /// sockaddr_un with zeros behind the name. Owns nothing where there is none.
  Fd takeListener(const sockaddr* address, std::string_view name);
  /// All that listen, with their whole names.
  std::vector<std::pair<std::string, Fd>> takeListeners();
  /// Closes what is left and says what it was: "name 127.0.0.1:8080".
  std::vector<std::string> closeRest();

 private:
  struct Held {
    Fd fd;
    std::string name;            // of one that was kept for us what it is for: "proxy"
    std::string called;          // its whole name
    sockaddr_storage address{};  // where it listens; of family AF_UNSPEC where it does not
  };
  template <class Matches>
  Fd takeFirst(const Matches& matches);

  std::vector<Held> held_;
  std::map<std::string, ino_t> kept_;
};

}  // namespace lemonade
