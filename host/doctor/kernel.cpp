// SPDX-License-Identifier: MIT
#include "doctor/kernel.h"

#include <algorithm>
#include <fstream>

namespace lemonade::doctor {

namespace {

using Is = KernelSetting::Is;

constexpr KernelSetting kSettings[] = {
    {"net.core.somaxconn", Is::kAtLeast, 65'535, "where clients come in bursts: it bounds proxy.backlog"},
    {"net.ipv4.tcp_max_syn_backlog", Is::kAtLeast, 65'535, "where clients come in bursts and SYN cookies are off"},
    {"net.ipv4.tcp_tw_reuse", Is::kExactly, 1, "with many short connections to few backends"},
    {"net.ipv4.tcp_fin_timeout", Is::kAtMost, 30, "with many peers that vanish"},
    {"net.core.netdev_max_backlog", Is::kAtLeast, 65'535, "where packets come faster than a core takes them"},
};

bool isMet(const KernelSetting& setting, std::int64_t value) noexcept {
  switch (setting.is) {
    case Is::kAtLeast:
      return value >= setting.recommended;
    case Is::kAtMost:
      return value <= setting.recommended;
    case Is::kExactly:
      return value == setting.recommended;
  }
  return false;
}

/// Connects beyond the smaller one wait a second, whatever is recommended.
void addBacklogs(const config::Config& config, const std::string& proc, Findings& findings) {
  const std::int64_t most = kernelNumber(proc, "net.core.somaxconn");
  if (most < 0) return;
  for (const auto& listener : config.listeners) {
    if (listener.backlog <= most) continue;
    const bool is_default = listener.name == config::kDefaultName;
    findings.push_back(
        {Level::kWarning, "kernel",
         "backlog is " + std::to_string(listener.backlog) + ", and the kernel makes it " + std::to_string(most) +
             " (net.core.somaxconn)",
         is_default ? "proxy.backlog" : "listeners." + listener.name + ".backlog",
         "sysctl -w net.core.somaxconn=" + std::to_string(std::max<std::int64_t>(listener.backlog, 65'535))});
  }
}

}  // namespace

std::span<const KernelSetting> kernelSettings() noexcept { return kSettings; }

std::int64_t kernelNumber(const std::string& proc, const std::string& name) {
  std::string path = name;
  std::replace(path.begin(), path.end(), '.', '/');
  std::int64_t value = -1;
  return std::ifstream(proc + "/sys/" + path) >> value ? value : -1;
}

Findings examineKernel(const config::Config& config, const std::string& proc) {
  Findings findings;
  addBacklogs(config, proc, findings);
  for (const auto& setting : kSettings) {
    const std::int64_t value = kernelNumber(proc, setting.name);
    if (value < 0) continue;
    const std::string is = std::string(setting.name) + " is " + std::to_string(value);
    if (isMet(setting, value)) {
      findings.push_back({Level::kOk, "kernel", is, ""});
      continue;
    }
    findings.push_back(
        {Level::kWarning, "kernel",
         is + "; " + std::to_string(setting.recommended) + " is recommended, which matters " + setting.matters, "",
         "sysctl -w " + std::string(setting.name) + "=" + std::to_string(setting.recommended) +
             ", for good in /etc/sysctl.d/60-lemonade.conf"});
  }
  return findings;
}

}  // namespace lemonade::doctor
