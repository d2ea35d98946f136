// SPDX-License-Identifier: MIT
//
// What a balancer has from the process that started it.
#pragma once

#include "base/inherited_descriptors.h"
#include "supervisor/link.h"

#include <vector>

namespace lemonade::app {

struct Parent {
  InheritedDescriptors inherited;                        ///< until the balancer has started
  supervisor::Link supervisor;                           ///< does nothing where there is none
  std::vector<supervisor::Quarantined> quarantine = {};  ///< plugins that a process before died of, or broke off
  std::vector<Fd> earlier = {};                          ///< contents of plugins that worked there, the newest first
};

}  // namespace lemonade::app
