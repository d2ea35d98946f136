// SPDX-License-Identifier: MIT
#include "config/file.h"

#include "base/clock.h"
#include "base/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace lemonade::config {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLargestFile = 16 << 20;
constexpr Duration kPatience = 20s;       // for a whole stream
constexpr Duration kPiecePatience = 10s;  // for each piece of it
constexpr unsigned kMemoryMajor = 1, kNullMinor = 3;
constexpr unsigned kTtyMajors[] = {4, 5, 136, 137, 138, 139, 140, 141, 142, 143};

Error systemError(const std::string& what) { return {what + ": " + std::generic_category().message(errno)}; }

Error tooLarge() { return {"is larger than 16 MiB; give a configuration file"}; }

bool isTerminal(const struct stat& status) {
  return S_ISCHR(status.st_mode) &&
         std::find(std::begin(kTtyMajors), std::end(kTtyMajors), major(status.st_rdev)) != std::end(kTtyMajors);
}

bool isNull(const struct stat& status) {
  return S_ISCHR(status.st_mode) && major(status.st_rdev) == kMemoryMajor && minor(status.st_rdev) == kNullMinor;
}

/// Why what a path leads to is not read.
std::optional<Error> objection(const struct stat& status, Streams streams) {
  if (S_ISREG(status.st_mode) || isNull(status)) return std::nullopt;
  if (S_ISDIR(status.st_mode)) return Error{"is a directory; give the configuration file in it"};
  const bool stream = S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || isTerminal(status);
  if (!stream) return Error{"is a device; give a configuration file"};
  if (streams == Streams::kRead) return std::nullopt;
  const char* what = S_ISFIFO(status.st_mode) ? "a pipe" : S_ISSOCK(status.st_mode) ? "a socket" : "a terminal";
  return Error{std::string("is ") + what + ", which a reload does not read; put a file in its place"};
}

/// The descriptor of this process that a path such as "/dev/stdin" or "/dev/fd/63" names.
std::optional<int> ownDescriptor(std::string_view path) {
  if (path == "/dev/stdin") return STDIN_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(folder)) continue;
    const auto number = path.substr(folder.size());
    int fd = -1;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), fd);
    if (error == std::errc() && end == number.data() + number.size() && fd >= 0) return fd;
  }
  return std::nullopt;
}

Result<std::string> readWhole(int fd) {
  std::string text;
  std::array<char, 65'536> buffer;
  for (;;) {
    // From its beginning, also where the descriptor is one that somebody has read from.
    const auto size = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(text.size()));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return systemError("cannot be read");
    if (size == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(size));
    if (text.size() > kLargestFile) return tooLarge();
  }
}

/// False where nothing came in time.
bool waitFor(int fd, std::uint64_t deadline_ns) {
  const std::uint64_t now = nowNs();
  const auto left = now < deadline_ns ? Duration(static_cast<Duration::rep>(deadline_ns - now)) : Duration::zero();
  const auto patience = std::min(left, kPiecePatience);
  pollfd ready{fd, POLLIN, 0};
  const auto millis = std::chrono::ceil<std::chrono::milliseconds>(patience).count();
  return ::poll(&ready, 1, static_cast<int>(millis)) > 0;
}

/// own: a descriptor that was here before, which may block and knows whether somebody writes; else one that was opened
/// for this and does not block, but cannot tell a writer who has left from one who is still to come.
Result<std::string> readStream(int fd, bool own) {
  std::string text;
  std::array<char, 65'536> buffer;
  const std::uint64_t deadline = nowNs() + static_cast<std::uint64_t>(kPatience.count());
  for (bool wait = own;; wait = own) {
    for (;;) {
      if (wait && !waitFor(fd, deadline))
        return Error{
            "is a pipe or a terminal through which nothing came in time; write the configuration and close it"};
      const auto size = ::read(fd, buffer.data(), buffer.size());
      if (size > 0) {
        text.append(buffer.data(), static_cast<std::size_t>(size));
        break;
      }
      if (size == 0 && (own || wait || !text.empty())) return text;
      if (size < 0 && errno != EINTR && errno != EAGAIN) return systemError("cannot be read");
      wait = true;
    }
    if (text.size() > kLargestFile) return tooLarge();
    if (nowNs() > deadline) return Error{"is a pipe or a terminal that does not come to an end; close it"};
  }
}

Result<Content> contentOf(int fd, bool own, Streams streams) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return systemError("cannot be examined");
  if (auto why = objection(status, streams)) return std::move(*why);
  const bool again = S_ISREG(status.st_mode) || isNull(status);
  auto text = S_ISREG(status.st_mode) ? readWhole(fd) : readStream(fd, own);
  if (!text) return std::move(text).error();
  return Content{std::move(text).value(), again};
}

}  // namespace

Result<Content> readContent(const std::string& path, Streams streams) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return systemError("cannot be opened");
  // Before it is opened: that alone has effects on some devices, and on whoever writes to a FIFO.
  if (auto why = objection(status, streams)) return std::move(*why);
  const auto own = ownDescriptor(path);
  if (own && !S_ISREG(status.st_mode)) return contentOf(*own, true, streams);
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file) return contentOf(file.get(), false, streams);
  // It may be open already to a user who may not open it.
  if (own && errno == EACCES) return contentOf(*own, true, streams);
  return systemError("cannot be opened");
}

}  // namespace lemonade::config
