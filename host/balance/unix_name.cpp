// SPDX-License-Identifier: MIT
#include "balance/unix_name.h"

#include "base/fd.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

namespace lemonade {

namespace {

Error failed(const char* call, const char* mend = "") {
  return {std::string(call) + ": " + std::strerror(errno) + mend};
}

/// Of two processes that find the same file left behind, the second must not remove what the first made there. The lock
/// is on the folder, and is gone with the descriptor.
Result<Fd> lockFolder(const std::string& path) {
  constexpr int kTries = 100;
  constexpr useconds_t kPauseUs = 10'000;
  const auto folder = std::filesystem::path(path).parent_path();
  Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return failed("open of its folder", "; make the folder first");
  for (int i = 0; ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0; ++i) {
    if (errno != EWOULDBLOCK && errno != EINTR) return failed("flock of its folder");
    if (i == kTries) return Error{"another process has locked its folder for a second"};
    (void)::usleep(kPauseUs);
  }
  return fd;
}

/// Removes a socket's file where nobody listens.
Status removeStale(const Address& address) {
  const std::string path(address.path());
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return errno == ENOENT ? success() : failed("lstat");
  if (!S_ISSOCK(status.st_mode)) return Error{"there is a file that is no socket; remove it, or choose another path"};
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe) return failed("socket");
  const int error = ::connect(probe.get(), address.get(), address.size()) == 0 ? 0 : errno;
  if (error == 0 || error == EAGAIN) return Error{"another program listens there (ss -lxp shows which)"};
  if (error == ENOENT) return success();
  if (error != ECONNREFUSED) return errno = error, failed("connect", "; remove the file if nobody listens there");
  return ::unlink(path.c_str()) == 0 || errno == ENOENT ? success() : failed("unlink of a file left behind");
}

template <class Id>
std::optional<Id> numberOf(const std::string& text) {
  Id id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  return error == std::errc() && end == text.data() + text.size() && id != static_cast<Id>(-1) ? std::optional(id)
                                                                                               : std::nullopt;
}

std::optional<uid_t> userOf(const std::string& name) {
  std::vector<char> text(16 * 1024);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(name.c_str(), &entry, text.data(), text.size(), &found) == 0 && found != nullptr)
    return found->pw_uid;
  return numberOf<uid_t>(name);
}

std::optional<gid_t> groupOf(const std::string& name) {
  std::vector<char> text(64 * 1024);
  group entry{};
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, text.data(), text.size(), &found) == 0 && found != nullptr)
    return found->gr_gid;
  return numberOf<gid_t>(name);
}

}  // namespace

Status setOwner(UnixAccess& access, std::string_view text) {
  const auto colon = text.find(':');
  const std::string user(text.substr(0, colon));
  const std::string group(colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1));
  if (user.empty() && group.empty()) return Error{"give \"user\", \"user:group\" or \":group\""};
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  if (!user.empty() && !(uid = userOf(user))) return Error{"there is no user \"" + user + "\""};
  if (!group.empty() && !(gid = groupOf(group))) return Error{"there is no group \"" + group + "\""};
  access.user = uid;
  access.group = gid;
  return success();
}

UnixName::UnixName(UnixName&& other) noexcept
    : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}

UnixName& UnixName::operator=(UnixName&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

// Nobody can connect before the socket listens, so the file has its owner and mode in time.
Result<UnixName> UnixName::bind(int fd, const Address& address, std::uint32_t backlog, const UnixAccess& access) {
  Fd lock;
  if (!address.path().empty()) {
    auto locked = lockFolder(std::string(address.path()));
    if (!locked) return std::move(locked).error();
    lock = std::move(locked).value();
    if (auto removed = removeStale(address); !removed) return std::move(removed).error();
  }
  if (::bind(fd, address.get(), address.size()) != 0)
    return failed("bind", errno == EADDRINUSE ? "; another program listens there (ss -lxp shows which)" : "");
  UnixName name = of(address);
  if (auto allowed = name.allow(access); !allowed) return std::move(allowed).error();
  if (::listen(fd, static_cast<int>(backlog)) != 0) return failed("listen");
  return name;
}

UnixName UnixName::of(const Address& address) {
  UnixName name;
  struct stat status {};
  name.path_ = address.path();
  if (name.path_.empty() || ::lstat(name.path_.c_str(), &status) != 0) return name;
  name.device_ = status.st_dev;
  name.inode_ = status.st_ino;
  return name;
}

Status UnixName::allow(const UnixAccess& access) const {
  if (path_.empty()) return success();
  if (access.user || access.group)
    if (::lchown(path_.c_str(), access.user.value_or(-1), access.group.value_or(-1)) != 0)
      return failed("chown", errno == EPERM ? "; only root gives a file to another user" : "");
  if (access.mode && ::chmod(path_.c_str(), *access.mode) != 0) return failed("chmod");
  return success();
}

void UnixName::remove() noexcept {
  struct stat status {};
  if (path_.empty() || ::lstat(path_.c_str(), &status) != 0) return;
  if (S_ISSOCK(status.st_mode) && status.st_dev == device_ && status.st_ino == inode_) (void)::unlink(path_.c_str());
}

}  // namespace lemonade
