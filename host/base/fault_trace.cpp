// SPDX-License-Identifier: MIT
#include "base/fault_trace.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>

namespace lemonade {

namespace fault_trace {

namespace {

Page own_page;           // where nobody reads
Page* page = &own_page;  // constant once there are threads
pid_t owner = 0;         // whose the page is: a child of this process shares it, and must not speak for it
std::mutex plugins_mutex;
Page::Thread nowhere;  // for threads that are too many

/// Of async-signal-safe calls only.
template <std::size_t Size>
void copyTo(char (&to)[Size], std::string_view text) noexcept {
  const std::size_t size = std::min(text.size(), Size - 1);
  std::memcpy(to, text.data(), size);
  std::memset(to + size, 0, Size - size);
}

}  // namespace

bool use(const Fd& memory) noexcept {
  struct stat status {};
  if (::fstat(memory.get(), &status) != 0 || status.st_size < static_cast<off_t>(sizeof(Page))) return false;
  void* const mapped = ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (mapped == MAP_FAILED) return false;
  page = static_cast<Page*>(mapped);
  owner = ::getpid();
  std::memcpy(page->functions, own_page.functions, sizeof(page->functions));
  copyTo(page->magic, Page::kMagic);
  return true;
}

void nameFunction(std::uint8_t function, std::string_view text) noexcept {
  if (function < Page::kMostFunctions) copyTo(page->functions[function], text);
}

void tellFatal(const Fatal& fatal) noexcept {
  static std::atomic_flag told = ATOMIC_FLAG_INIT;
  if (owner != ::getpid() || told.test_and_set()) return;
  auto& fault = page->fault;
  fault.inside = fatal.inside;
  fault.signal = fatal.signal;
  fault.has_offset = fatal.has_offset ? 1 : 0;
  fault.offset = fatal.offset;
  copyTo(fault.thread, fatal.thread);
  copyTo(fault.note, fatal.note);
  fault.told.store(1, std::memory_order_release);
}

}  // namespace fault_trace

TracedPlugin::TracedPlugin(std::string_view id, std::string_view version, std::string_view hash,
                           std::string_view file) noexcept {
  const std::lock_guard lock(fault_trace::plugins_mutex);
  auto& rows = fault_trace::page->plugins;
  auto* row = std::find_if(std::begin(rows), std::end(rows),
                           [&](const auto& one) { return one.owners != 0 && hash == one.hash && id == one.id; });
  if (row == std::end(rows)) {
    row = std::find_if(std::begin(rows), std::end(rows), [](const auto& one) { return one.owners == 0; });
    if (row == std::end(rows)) return;
    fault_trace::copyTo(row->id, id);
    fault_trace::copyTo(row->version, version);
    fault_trace::copyTo(row->hash, hash);
    fault_trace::copyTo(row->file, file);
  }
  ++row->owners;
  number_ = static_cast<std::uint32_t>(row - std::begin(rows)) + 1;
}

TracedPlugin::~TracedPlugin() {
  if (number_ == 0) return;
  const std::lock_guard lock(fault_trace::plugins_mutex);
  --fault_trace::page->plugins[number_ - 1].owners;
}

TracedThread::TracedThread(std::string_view name) noexcept : cell_(&fault_trace::nowhere) {
  for (auto& thread : fault_trace::page->threads) {
    std::uint32_t free = 0;
    if (!thread.taken.compare_exchange_strong(free, 1, std::memory_order_acquire)) continue;
    cell_ = &thread;
    fault_trace::copyTo(cell_->name, name);
    return;
  }
}

TracedThread::~TracedThread() {
  leave();
  if (cell_ != &fault_trace::nowhere) cell_->taken.store(0, std::memory_order_release);
}

}  // namespace lemonade
