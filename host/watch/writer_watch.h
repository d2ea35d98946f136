// SPDX-License-Identifier: MIT
//
// Whether somebody is in the middle of writing a file: the kernel tells (inotify) of each write and of the writer's
// close, also where the file belongs to another user, so that a lease may not be asked for. A hint: where the kernel
// does not tell (a network mount, no watch left), nobody seems to write.
//
// A file is watched itself, for writers that know it under another name, and through its folder, for one that is made
// anew.
#pragma once

#include "base/clock.h"
#include "base/fd.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace lemonade {

class WriterWatch {
 public:
  /// What is watched for a path: watches of inotify, or -1.
  struct Place {
    int file = -1;
    int folder = -1;
    std::string name;  ///< of the file in its folder
  };

  WriterWatch();

  /// Watches the file that a path leads to. Asks the file system, so it may hang; any thread. Before the file is read:
  /// what is written from then on is heard of.
  Place mark(const std::string& path) const;

  /// Hears of what happened. place is that of the last mark, all others are watched no more. One thread, as for the
  /// rest.
  void hear(const Place& place);
  /// A write was heard of and no close since.
  bool writing() const;
  /// When it was last written or closed, by nowNs(); before anything was heard, when this began.
  std::uint64_t lastWriteNs() const noexcept { return last_write_ns_; }

 private:
  struct Event;
  void take(const Event& event);
  bool concerns(const Event& event) const;

  const Fd fd_;
  Place place_;
  std::set<std::string> written_names_;        // in the folder, not closed since
  std::map<std::uint32_t, bool> on_the_move_;  // renames by cookie: whether it was being written
  bool file_written_ = false;
  std::uint64_t last_write_ns_ = nowNs();
};

}  // namespace lemonade
