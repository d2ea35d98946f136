// SPDX-License-Identifier: MIT
//
// A service manager's end of the notify protocol, for a test: the socket that NOTIFY_SOCKET names, what comes there,
// and the descriptors that come along.
#pragma once

#include "base/fd.h"
#include "support/balancer.h"

#include <cstddef>
#include <string>
#include <vector>

namespace lemonade::test {

class NotifySocket {
 public:
  NotifySocket();

  std::string path() const { return (folder_.path() / "notify").string(); }

  /// The next message, one assignment a line; empty where none comes within the time.
  std::string next(Millis within);
  /// The next message that contains text; those before are kept in messages(). Throws TimeoutError.
  std::string waitFor(const std::string& text, Millis within = 10s);
  /// All that was received.
  const std::vector<std::string>& messages() const { return messages_; }
  /// How many of them contain text.
  std::size_t count(const std::string& text) const;
  /// Descriptors that came with the last message.
  const std::vector<Fd>& descriptors() const { return descriptors_; }

 private:
  TemporaryFolder folder_;
  Fd fd_;
  std::vector<std::string> messages_;
  std::vector<Fd> descriptors_;
};

}  // namespace lemonade::test
