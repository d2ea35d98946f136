// SPDX-License-Identifier: MIT
//
// The settings of the kernel that docs/deployment.md and config/sysctl.d recommend, against those that there are.
#pragma once

#include "config/config.h"
#include "doctor/finding.h"

#include <cstdint>
#include <span>
#include <string>

namespace lemonade::doctor {

/// One of config/sysctl.d/60-lemonade.conf but for the ports, which are a topic of their own.
struct KernelSetting {
  enum class Is { kAtLeast, kAtMost, kExactly };
  const char* name;  ///< "net.core.somaxconn"
  Is is;
  std::int64_t recommended;
  const char* matters;  ///< when: goes on after "matters "
};

std::span<const KernelSetting> kernelSettings() noexcept;

/// proc is the folder, "/proc". A setting that the kernel does not have is passed over.
Findings examineKernel(const config::Config& config, const std::string& proc);

/// The number in the file of a setting; the first where there are several. -1: there is none.
std::int64_t kernelNumber(const std::string& proc, const std::string& name);

}  // namespace lemonade::doctor
