// SPDX-License-Identifier: MIT
#include "file_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <limits.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace lemonade::access_log {

namespace {

std::string reasonOf(int error) {
  return error == EAGAIN ? "nobody reads what was written before" : std::generic_category().message(error);
}

/// So long until then, as poll() takes it.
int millisUntil(std::uint64_t deadline_ns) noexcept {
  const auto now_ns = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  if (now_ns >= deadline_ns) return 0;
  return static_cast<int>(std::min<std::uint64_t>((deadline_ns - now_ns) / 1'000'000 + 1, 3'600'000));
}

/// True once it takes bytes, or has an error to report; false where the time is over before.
bool awaitRoom(int fd, std::uint64_t deadline_ns) noexcept {
  for (;;) {
    pollfd writable{fd, POLLOUT, 0};
    const int ready = ::poll(&writable, 1, millisUntil(deadline_ns));
    if (ready >= 0 || errno != EINTR) return ready != 0;
  }
}

/// A regular file takes all or is full; what else there is may make its writer wait.
bool mayWait(int fd) noexcept {
  struct stat what {};
  return ::fstat(fd, &what) == 0 && !S_ISREG(what.st_mode);
}

/// The part of the bytes that one write takes where the writer may have to wait: whole lines that a pipe takes at once,
/// between those of others.
std::string_view firstPiece(std::string_view bytes) noexcept {
  if (bytes.size() <= PIPE_BUF) return bytes;
  const auto end = bytes.rfind('\n', PIPE_BUF - 1);
  return bytes.substr(0, end == std::string_view::npos ? std::size_t{PIPE_BUF} : end + 1);
}

}  // namespace

FileOutput::FileOutput(std::string path) : path_(std::move(path)), fd_(open()) {}

FileOutput::~FileOutput() { ::close(fd_); }

// Not blocking, lest a FIFO without a reader hold up the balancer: it is refused.
int FileOutput::open() const {
  const int fd = path_.empty()
                     ? ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)
                     : ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                              S_IRUSR | S_IWUSR | S_IRGRP);
  if (fd >= 0) return fd;
  const int error = errno;
  throw std::runtime_error("cannot open " + (path_.empty() ? "standard error" : path_) + ": " + reasonOf(error) +
                           "; its folder has to exist, and the balancer has to be allowed to write there");
}

void FileOutput::reopen() {
  if (path_.empty()) return;
  const int fd = open();
  ::close(std::exchange(fd_, fd));
  begun_part_ = 0;  // in this file nothing of it is
}

void FileOutput::add(std::string_view line, const lemonade_session_record_t&) {
  lines_ += line;
  lines_ += '\n';
}

Written FileOutput::finish(std::uint64_t deadline_ns) {
  int error = 0;
  const std::size_t written = finishBegun(deadline_ns, error) ? write(lines_, deadline_ns, error) : 0;
  if (written < lines_.size()) return loseBehind(written, error);
  lines_.clear();
  return {};
}

/// True where no line is begun any more.
bool FileOutput::finishBegun(std::uint64_t deadline_ns, int& error) {
  if (begun_.empty()) return true;
  begun_part_ += write(std::string_view(begun_).substr(begun_part_), deadline_ns, error);
  if (begun_part_ < begun_.size()) return false;
  begun_.clear();
  begun_part_ = 0;
  return true;
}

/// How many of the bytes were written; error is why it was not all.
std::size_t FileOutput::write(std::string_view bytes, std::uint64_t deadline_ns, int& error) const noexcept {
  std::size_t written = 0;
  const bool waits = mayWait(fd_);
  while (written < bytes.size()) {
    auto piece = bytes.substr(written);
    if (waits) piece = firstPiece(piece);
    if (waits && !awaitRoom(fd_, deadline_ns)) {
      error = EAGAIN;
      break;
    }
    const ssize_t taken = ::write(fd_, piece.data(), piece.size());
    if (taken < 0 && errno == EINTR) continue;
    if (taken < 0 && errno == EAGAIN && millisUntil(deadline_ns) > 0) {
      (void)::poll(nullptr, 0, 1);  // there is some room, and not enough
      continue;
    }
    if (taken <= 0) {
      error = taken < 0 ? errno : ENOSPC;
      break;
    }
    written += static_cast<std::size_t>(taken);
  }
  return written;
}

/// Remembers the line that was begun, and forgets those behind it.
Written FileOutput::loseBehind(std::size_t written, int error) {
  std::size_t rest = written;
  if (written != 0 && lines_[written - 1] != '\n') {
    const auto before = lines_.rfind('\n', written - 1);
    const std::size_t begin = before == std::string::npos ? 0 : before + 1;
    rest = lines_.find('\n', written) + 1;
    begun_ = lines_.substr(begin, rest - begin);
    begun_part_ = written - begin;
  }
  Written result;
  result.lost =
      static_cast<std::uint64_t>(std::count(lines_.begin() + static_cast<std::ptrdiff_t>(rest), lines_.end(), '\n'));
  result.problem = "cannot write to " + (path_.empty() ? "standard error" : path_) + ": " + reasonOf(error);
  lines_.clear();
  return result;
}

}  // namespace lemonade::access_log
