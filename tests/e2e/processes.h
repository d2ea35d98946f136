// SPDX-License-Identifier: MIT
//
// What /proc says of a process under test.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

namespace lemonade::test {

/// The processes that pid started and that have not been waited for.
inline std::vector<pid_t> childrenOf(pid_t pid) {
  std::vector<pid_t> children;
  std::error_code failed;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", failed)) {
    std::ifstream file(task.path() / "children");
    for (pid_t child = 0; file >> child;) children.push_back(child);
  }
  return children;
}

inline bool hasThread(pid_t pid, const std::string& name) {
  std::error_code failed;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", failed)) {
    std::ifstream file(task.path() / "comm");
    std::string comm;
    std::getline(file, comm);
    if (comm == name) return true;
  }
  return false;
}

/// A line of /proc/PID/status, such as "SigBlk"; without its name.
inline std::string statusOf(pid_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + ":\t")) return line.substr(name.size() + 2);
  return "";
}

/// It has ended, waited for or not.
inline bool hasEnded(pid_t pid) {
  const auto state = statusOf(pid, "State");
  return state.empty() || state.starts_with('Z') || state.starts_with('X');
}

/// What descriptor fd of a process is: a path, "socket:[5]"; "" where it is closed.
inline std::string descriptorOf(pid_t pid, int fd) {
  std::error_code failed;
  return std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd), failed).string();
}

}  // namespace lemonade::test
