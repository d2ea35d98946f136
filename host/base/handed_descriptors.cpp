// SPDX-License-Identifier: MIT
#include "base/handed_descriptors.h"

#include <fcntl.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <charconv>
#include <string_view>

namespace lemonade {

namespace {

constexpr std::string_view kPid = "LISTEN_PID=";
constexpr std::size_t kDigits = 20;

/// Also of a watchdog, which a service manager expects to be fed by the process that it started: the program may be
/// another.
bool speaksOfDescriptors(std::string_view variable) {
  return variable.starts_with("WATCHDOG_PID=") || variable.starts_with(kPid) || variable.starts_with("LISTEN_FDS=") ||
         variable.starts_with("LISTEN_FDNAMES=");
}

}  // namespace

void HandedDescriptors::add(std::string name, int fd) {
  names_.push_back(std::move(name));
  fds_.push_back(fd);
}

void HandedDescriptors::prepare(const std::vector<std::string>& extra) {
  std::string names;
  for (const auto& name : names_) names += (names.empty() ? "" : ":") + name;
  // The first is written to by place(): only the program itself knows its pid.
  variables_ = {std::string(kPid) + std::string(kDigits, '\0'), "LISTEN_FDS=" + std::to_string(fds_.size()),
                "LISTEN_FDNAMES=" + names};
  variables_.insert(variables_.end(), extra.begin(), extra.end());
  const auto isReplaced = [&](std::string_view variable) {
    const auto name = variable.substr(0, variable.find('=') + 1);
    for (const auto& one : extra)
      if (one.starts_with(name)) return true;
    return speaksOfDescriptors(variable);
  };
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!isReplaced(*variable)) variables_.emplace_back(*variable);
  pointers_.clear();
  for (auto& variable : variables_) pointers_.push_back(variable.data());
  pointers_.push_back(nullptr);
}

bool HandedDescriptors::place() noexcept {
  const int first = SD_LISTEN_FDS_START, end = first + static_cast<int>(fds_.size());
  // Out of the way first, so that none is overwritten before it has its place.
  for (int& fd : fds_)
    if ((fd = ::fcntl(fd, F_DUPFD_CLOEXEC, end)) < 0) return false;
  for (int place = first; place < end; ++place)
    if (::dup2(fds_[static_cast<std::size_t>(place - first)], place) < 0)
      return false;  // which is not closed by execve
  char* const pid = variables_.front().data() + kPid.size();
  *std::to_chars(pid, pid + kDigits - 1, ::getpid()).ptr = '\0';
  return true;
}

}  // namespace lemonade
