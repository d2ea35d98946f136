// SPDX-License-Identifier: MIT
//
// The name of a Unix socket that listens: its file, who may connect to it, and its removal. A file that a process left
// behind when it ended is replaced; one that somebody listens at never is. One thread.
#pragma once

#include "balance/address.h"
#include "base/result.h"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lemonade {

/// Who may connect to a Unix socket: whoever may write to its file. What is not set stays as the system makes it, which
/// is the user of this process and the mode that its umask leaves, mostly 0755.
struct UnixAccess {
  std::optional<mode_t> mode;  ///< 0 to 0777
  std::optional<uid_t> user;
  std::optional<gid_t> group;

  bool operator==(const UnixAccess&) const = default;
};

/// Sets the owner that a text names: "user", "user:group" or ":group", by name or number. The error says what is
/// unknown. Reads the system's lists of users and groups.
Status setOwner(UnixAccess& access, std::string_view text);

/// Removes the file when it is destroyed, unless it was told to leave it or another file has taken its place. An
/// abstract name has no file. Movable.
class UnixName {
 public:
  UnixName() = default;
  UnixName(UnixName&& other) noexcept;
  UnixName& operator=(UnixName&& other) noexcept;
  ~UnixName() { remove(); }

  /// Binds the socket to the address and listens. The error has no address in it.
  static Result<UnixName> bind(int fd, const Address& address, std::uint32_t backlog, const UnixAccess& access);
  /// The name of a socket that listens there already.
  static UnixName of(const Address& address);

  /// Gives the file its owner and mode. Nothing for an abstract name.
  Status allow(const UnixAccess& access) const;
  /// There is no file to remove.
  bool empty() const noexcept { return path_.empty(); }
  /// Leaves the file to whoever listens there from now on.
  void leave() noexcept { path_.clear(); }

 private:
  void remove() noexcept;

  std::string path_;  // empty: no file, or none of ours
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace lemonade
