// SPDX-License-Identifier: MIT
//
// Contents of strategies that have worked and that their files no longer have, beyond the life of one process: the
// supervisor keeps them in memory, and hands them to each balancer that follows. So the way back leads to an earlier
// version also where the process has died, or was upgraded, since.
//
// One thread at a time.
#pragma once

#include "app/quarantine.h"
#include "base/fd.h"
#include "plugin/plugin_file.h"
#include "supervisor/link.h"

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lemonade::app {

class EarlierContents {
 public:
  using Content = std::shared_ptr<const plugin::PluginFile>;
  /// So many are kept, of all pools; a large one would be memory that an operator did not expect.
  static constexpr std::size_t kMost = 16;
  static constexpr std::size_t kLargest = std::size_t{32} << 20;

  /// What a process before has left, the newest first. What is none of a plugin that this host can load is left out.
  void read(std::vector<Fd> files);
  /// Those of this plugin that were left and are not quarantined, the newest first, called by the path that its file
  /// has today.
  std::vector<Content> find(const std::string& id, const std::string& path, const Quarantine& quarantine) const;
  /// Lets go of what was left: whoever wants it has it.
  void forget() { left_.clear(); }

  /// Has the supervisor keep these, the newest first, and no others. False where it cannot.
  bool keep(const std::vector<Content>& contents, const supervisor::Link& supervisor);

 private:
  std::vector<std::shared_ptr<plugin::PluginFile>> left_;
  std::map<std::string, Fd> kept_;  // by hash
};

}  // namespace lemonade::app
