// SPDX-License-Identifier: MIT
//
// The host table that one instance of a plugin gets: logging, time, timers, posted tasks, metrics. Revoking it makes
// every call harmless; its memory stays until the process ends, because a plugin's thread may hold on to it that long.
#pragma once

#include "base/control_loop.h"
#include "plugin/guard.h"
#include "plugin/metric_cells.h"

#include <lemonade/host.h>
#include <lemonade/log_fields.h>

#include <atomic>
#include <map>
#include <string>

namespace lemonade::plugin {

class HostHandle {
 public:
  /// A new handle, kept until the process ends; loop and cells must be, too. What the plugin has called back goes
  /// through guard, where there is one, which must live as long. Control thread.
  static HostHandle& make(std::string plugin_id, ControlLoop& loop, MetricCells& cells, Guard* guard = nullptr);

  const lemonade_host_t& table() const noexcept { return table_; }

  /// Ends the instance's timers; nothing it posted runs any more. Control thread.
  void revoke();

 private:
  HostHandle(std::string plugin_id, ControlLoop& loop, MetricCells& cells, Guard* guard);

  bool onControlThread(const char* function) noexcept;
  void callBack(void (*callback)(void*) noexcept, void* user) noexcept;
  static HostHandle& of(void* context) noexcept { return *static_cast<HostHandle*>(context); }
  static void log(void* context, std::uint32_t level, lemonade_str_t message) noexcept;
  static std::uint64_t now(void* context) noexcept;
  static lemonade_status_t post(void* context, void (*callback)(void*) noexcept, void* user) noexcept;
  static lemonade_status_t startTimer(void* context, std::uint64_t interval_ns, void (*callback)(void*) noexcept,
                                      void* user, std::uint64_t* timer) noexcept;
  static void cancelTimer(void* context, std::uint64_t timer) noexcept;
  static lemonade_status_t registerMetric(void* context, std::uint32_t type, lemonade_str_t name, lemonade_str_t help,
                                          lemonade_metric_cell_t** cell) noexcept;
  static const void* extension(void* context, lemonade_str_t id) noexcept;
  static void writeFields(void* context, std::uint32_t level, lemonade_str_t message,
                          const lemonade_log_field_t* fields, std::uint32_t count, std::uint32_t stride) noexcept;

  // Constant after construction.
  lemonade_host_t table_{};
  const std::string plugin_id_;
  ControlLoop& loop_;
  MetricCells& cells_;
  Guard* const guard_;

  // Any thread.
  std::atomic<bool> revoked_{false};
  std::atomic<std::uint32_t> posted_{0};
  std::atomic<bool> said_thread_{false};  // the log has a line of a call on a wrong thread

  // Control thread only.
  std::map<std::uint64_t, ControlLoop::TimerId> timers_;
  std::uint64_t next_timer_ = 1;
};

}  // namespace lemonade::plugin
