// SPDX-License-Identifier: MIT
//
// What a process holds, as /proc has it: for tests that nothing piles up. Any thread.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace lemonade::test {

struct Holdings {
  explicit Holdings(pid_t pid) {
    namespace fs = std::filesystem;
    const fs::path proc = "/proc/" + std::to_string(pid);
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(proc / "fd")) ++descriptors;
    for (const auto& task : fs::directory_iterator(proc / "task")) {
      std::string name;
      std::getline(std::ifstream(task.path() / "comm"), name);
      ++(name == "admin" ? admin_threads : threads);
    }
    std::ifstream maps(proc / "maps");
    for (std::string line; std::getline(maps, line);) ++mappings;
    std::ifstream statm(proc / "statm");
    long pages = 0;
    statm >> pages >> pages;
    resident_kib = pages * (::getpagesize() / 1024);
  }

  long descriptors = 0, mappings = 0, resident_kib = 0;
  long threads = 0;  ///< without the next ones
  long admin_threads =
      0;  ///< that answer HTTP: up to 8, one more whenever a request comes while none of them waits yet
};

constexpr long kMostAdminThreads = 8;

}  // namespace lemonade::test
