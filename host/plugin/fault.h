// SPDX-License-Identifier: MIT
//
// Which calls of a plugin there are, and what is known of one that was broken off. Plain values; filled by the handler
// of a signal, so nothing here allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lemonade::plugin {

class Guard;

/// Which function of a plugin a call is of.
enum class Function : std::uint8_t {
  kCreate,
  kDestroy,
  kMakeLane,
  kEndLane,
  kPrepare,
  kEndPrepared,
  kPick,
  kWhy,
  kEvent,
  kExportState,
  kImportState,
  kProbeBegin,
  kProbeEvent,
  kProbeEnd,
  kFlush,
  kHealthEvent,
  kSessionRecords,
  kReopen,
  kContentType,
  kRender,
  kCallback,  ///< a timer or a posted task of the plugin
};

/// How the ABI calls them, in the same order.
inline constexpr std::array kFunctionNames = {
    "create", "destroy",      "lane_create",     "lane_destroy", "prepare",      "release",     "pick",
    "why",    "event",        "export_state",    "import_state", "probe_begin",  "probe_event", "probe_end",
    "flush",  "health_event", "session_records", "reopen",       "content_type", "render",      "callback",
};
static_assert(kFunctionNames.size() == static_cast<std::size_t>(Function::kCallback) + 1);

inline const char* nameOf(Function function) noexcept { return kFunctionNames[static_cast<std::size_t>(function)]; }

/// Why a call was broken off.
enum class FaultKind : std::uint8_t {
  kNone,
  kSegv,
  kBus,
  kFpe,
  kIll,
  kAbort,
  kException,
  kExit,
  kHang,
  kDeath,  ///< none was broken off: a process before this one died of the plugin
};

/// In log, metrics and status, in the same order.
inline constexpr std::array kFaultNames = {"none",    "SIGSEGV",   "SIGBUS", "SIGFPE", "SIGILL",
                                           "SIGABRT", "exception", "exit",   "hang",   "death"};
static_assert(kFaultNames.size() == static_cast<std::size_t>(FaultKind::kDeath) + 1);

inline const char* nameOf(FaultKind kind) noexcept { return kFaultNames[static_cast<std::size_t>(kind)]; }

/// One call that was broken off.
struct Fault {
  static constexpr std::size_t kMostFrames = 32;

  const Guard* guard = nullptr;
  Function function = Function::kCreate;
  FaultKind kind = FaultKind::kNone;
  const void* address = nullptr;    ///< that could not be accessed, of kSegv and kBus
  std::uint64_t lasted_ns = 0;      ///< of kHang: how long the call had gone on
  char detail[96] = {};             ///< of kException its type as the compiler spells it, of kExit which function, of
                                    ///< kFpe what it has left behind
  const void* frames[kMostFrames];  ///< addresses of code, the innermost first
  std::size_t frame_count = 0;
};

}  // namespace lemonade::plugin
