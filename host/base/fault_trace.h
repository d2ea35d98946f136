// SPDX-License-Identifier: MIT
//
// What a process leaves behind of its plugins when it dies: which of them its threads were inside, and the fault that
// ended it. It lies in one page of memory that the process shares with the one that started it, so no handler has to
// run for it to be there, not even after SIGKILL.
//
// There is one page for each process. Where nobody gave it one, it is memory of its own that nobody reads, so what
// writes to it need not ask.
#pragma once

#include "base/fd.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace lemonade {

namespace fault_trace {

/// The layout of the page. Who reads it takes nothing for granted: the process may have died for writing anywhere.
struct Page {
  static constexpr std::string_view kMagic = "lemonade-trace/1";
  static constexpr std::size_t kMostPlugins = 256, kMostThreads = 512, kMostFunctions = 32;

  struct Plugin {
    std::uint32_t owners;  ///< 0: the row is free
    char id[64], version[32], hash[80], file[256];
  };
  struct alignas(64) Thread {
    std::atomic<std::uint32_t> inside;  ///< 0: no plugin; otherwise see insideOf
    std::atomic<std::uint32_t> taken;
    char name[48];
  };
  struct Fault {
    std::atomic<std::uint32_t> told;  ///< 1: the other fields are there. The first one stays
    std::uint32_t inside;             ///< as of a thread; 0: no call of a plugin was under way
    std::int32_t signal;
    std::uint32_t has_offset;
    std::uint64_t offset;  ///< of the instruction in the plugin's image
    char thread[48], note[200];
  };

  char magic[32];  // written last, by who uses the page
  char functions[kMostFunctions][24];
  Plugin plugins[kMostPlugins];
  Fault fault;
  Thread threads[kMostThreads];
};

/// A plugin of the page, from 1, and one of its functions in one word, and back.
constexpr std::uint32_t insideOf(std::uint32_t plugin, std::uint8_t function) noexcept {
  return plugin << 8 | function;
}
constexpr std::uint32_t pluginOf(std::uint32_t inside) noexcept { return inside >> 8; }
constexpr std::uint8_t functionOf(std::uint32_t inside) noexcept { return static_cast<std::uint8_t>(inside); }

/// Writes to the memory behind a descriptor from now on, which is as large as a Page. False where it cannot be mapped
/// or is smaller, and all is as before. Before the first thread.
bool use(const Fd& memory) noexcept;

/// What number a function of a plugin has in the page, as text. text is copied. Before the first plugin.
void nameFunction(std::uint8_t function, std::string_view text) noexcept;

/// Tells of a fault that ends this process. inside: as the thread's; thread and note are copied. Async-signal-safe, any
/// thread; only the first one of a process is kept.
struct Fatal {
  std::uint32_t inside = 0;
  int signal = 0;
  bool has_offset = false;
  std::uint64_t offset = 0;
  const char* thread = "";
  const char* note = "";  ///< why nothing but an end was possible, for people; "": nothing to say
};
void tellFatal(const Fatal& fatal) noexcept;

}  // namespace fault_trace

/// A plugin that the page names as long as this lives. Any thread.
class TracedPlugin {
 public:
  /// hash is of the file's content. Two of the same content share a row.
  TracedPlugin(std::string_view id, std::string_view version, std::string_view hash, std::string_view file) noexcept;
  ~TracedPlugin();
  TracedPlugin(const TracedPlugin&) = delete;
  TracedPlugin& operator=(const TracedPlugin&) = delete;

  /// From 1; 0 where no row is left: then nobody will know that this one was running.
  std::uint32_t number() const noexcept { return number_; }

 private:
  std::uint32_t number_ = 0;
};

/// The place in the page of the thread that made it. enter() and leave() are two plain stores to a cache line that
/// nobody else writes.
class TracedThread {
 public:
  explicit TracedThread(std::string_view name) noexcept;
  ~TracedThread();
  TracedThread(const TracedThread&) = delete;
  TracedThread& operator=(const TracedThread&) = delete;

  /// inside: fault_trace::insideOf a plugin and its function.
  void enter(std::uint32_t inside) noexcept { cell_->inside.store(inside, std::memory_order_relaxed); }
  void leave() noexcept { cell_->inside.store(0, std::memory_order_relaxed); }
  std::uint32_t inside() const noexcept { return cell_->inside.load(std::memory_order_relaxed); }

 private:
  fault_trace::Page::Thread* cell_;
};

}  // namespace lemonade
