// SPDX-License-Identifier: MIT
//
// Whether this process is to be the balancer, or the supervisor of one; see supervisor/supervisor.h.
//
// The process that was started reads the configuration to know, and becomes the supervisor by executing itself: so
// nothing of what it read, and no thread, stays with it, and no signal that comes meanwhile is lost.
#pragma once

#include "app/run.h"
#include "base/inherited_descriptors.h"
#include "config/loader.h"
#include "watch/fingerprint.h"

#include <optional>

namespace lemonade::app {

/// Runs the supervisor where this process was executed to be one, and returns its exit code. Before the first thread.
std::optional<int> runSupervisor(const LoadBalancerArguments& arguments, InheritedDescriptors& inherited);

/// Becomes the supervisor, and does not come back, where the configuration asks for one. Where it does not or is
/// invalid, this process is to go on.
void becomeSupervisor(const LoadBalancerArguments& arguments, const config::Input& input, const FileContent& file,
                      InheritedDescriptors& inherited);

/// What the file held: read now, or by the process before where it can be read only once.
FileContent firstFingerprint(const std::optional<std::string>& file, InheritedDescriptors& inherited);

}  // namespace lemonade::app
