// SPDX-License-Identifier: MIT
#include "base/log_channel.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace lemonade::log {
namespace {

constexpr int kPollMs = 50;

/// Bytes that the descriptor took; all of them where it is broken: a log that nobody can read is no reason to stop.
std::size_t writeSome(int fd, std::string_view text) {
  const auto written = ::write(fd, text.data(), text.size());
  if (written >= 0) return static_cast<std::size_t>(written);
  return errno == EINTR || errno == EAGAIN ? 0 : text.size();
}

bool waitWritable(int fd, int timeout_ms) {
  pollfd entry{fd, POLLOUT, 0};
  return ::poll(&entry, 1, timeout_ms) > 0;
}

/// Writes now, however long that takes: only where no writer thread runs.
void writeDirectly(int fd, std::string_view line) {
  while (!line.empty()) {
    line.remove_prefix(writeSome(fd, line));
    if (!line.empty()) waitWritable(fd, kPollMs);
  }
}

}  // namespace

BoundedChannel::BoundedChannel(int fd, Notice notice) : BoundedChannel(fd, std::move(notice), Limits{}) {}

BoundedChannel::BoundedChannel(int fd, Notice notice, Limits limits)
    : fd_(fd), notice_(std::move(notice)), limits_(limits) {
  chunk_.reserve(PIPE_BUF);
}

BoundedChannel::~BoundedChannel() { BoundedChannel::close(); }

void BoundedChannel::open() {
  if (writer_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    closing_ = false;
  }
  // The writer takes no signals: those that end the process belong to the control thread, and a log whose reader went
  // away must not raise SIGPIPE.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    writer_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw std::system_error(error.code(), "cannot start the thread of the log");
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const std::lock_guard lock(mutex_);
  running_ = true;
}

void BoundedChannel::close() {
  if (!writer_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    give_up_ = std::chrono::steady_clock::now() + limits_.close_patience;
  }
  changed_.notify_one();
  writer_.join();
}

void BoundedChannel::log(const Poco::Message& message) {
  if (!enqueue(message.getText())) writeDirectly(fd_, message.getText());
}

/// False where no writer thread runs and the line is still the caller's to write.
bool BoundedChannel::enqueue(const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (!running_) return false;
  if (queue_.size() >= limits_.lines || queued_bytes_ + line.size() > limits_.bytes) {
    drop();
    return true;
  }
  queue_.push_back(line);
  queued_bytes_ += line.size();
  if (queue_.size() == 1) changed_.notify_one();
  return true;
}

// Whatever it has to do can be done without memory: an exception would end the process.
void BoundedChannel::run() {
  while (takeQueue()) {
    if (writeLines()) continue;
    const std::lock_guard lock(mutex_);
    dropped_.fetch_add(queue_.size(), std::memory_order_relaxed);
    queue_.clear();
    queued_bytes_ = 0;
    running_ = false;
    return;
  }
}

/// Waits for lines; false where the channel closes and all is written.
bool BoundedChannel::takeQueue() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !queue_.empty() || closing_; });
  const auto lost = dropped() - announced_;
  running_ = !queue_.empty() || lost > 0;
  if (!running_) return false;
  lines_.clear();
  lines_.swap(queue_);
  queued_bytes_ = 0;
  if (lost > 0) announceLoss(lost);
  return true;
}

// Later, where there is no memory for it, and never where the channel closes meanwhile.
void BoundedChannel::announceLoss(std::uint64_t lost) noexcept try {
  lines_.push_back(notice_(lost));
  announced_ += lost;
} catch (...) {
  if (closing_) announced_ += lost;
}

/// Whole lines together, as many as a pipe that is ready takes without blocking and without mixing them with another
/// process's: PIPE_BUF bytes. A longer line goes out in pieces. False where close() lost patience with the reader.
bool BoundedChannel::writeLines() {
  for (auto next = lines_.begin(); next != lines_.end();) {
    const auto first = next++;
    std::string_view text = *first;
    if (next != lines_.end() && text.size() + next->size() <= PIPE_BUF) {
      chunk_ = text;
      while (next != lines_.end() && chunk_.size() + next->size() <= PIPE_BUF) chunk_ += *next++;
      text = chunk_;
    }
    if (!writeChunk(text)) {
      dropped_.fetch_add(static_cast<std::uint64_t>(lines_.end() - first), std::memory_order_relaxed);
      return false;
    }
  }
  return true;
}

bool BoundedChannel::writeChunk(std::string_view chunk) {
  while (!chunk.empty()) {
    if (waitWritable(fd_, kPollMs)) {
      chunk.remove_prefix(writeSome(fd_, chunk.substr(0, PIPE_BUF)));
      continue;
    }
    const std::lock_guard lock(mutex_);
    if (closing_ && std::chrono::steady_clock::now() >= give_up_) return false;
  }
  return true;
}

}  // namespace lemonade::log
