// SPDX-License-Identifier: MIT
#include "supervisor/last_moments.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string_view>

namespace lemonade::supervisor {

namespace {

using fault_trace::Page;

template <std::size_t Size>
std::string textOf(const char (&from)[Size]) {
  std::string text(from, ::strnlen(from, Size));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

std::optional<PluginCall> callOf(const Page& page, std::uint32_t inside, std::string thread) {
  const auto plugin = fault_trace::pluginOf(inside);
  if (plugin == 0 || plugin > Page::kMostPlugins) return std::nullopt;
  const auto& row = page.plugins[plugin - 1];
  PluginCall call{textOf(row.id), textOf(row.version), textOf(row.hash), textOf(row.file), {}, std::move(thread)};
  if (call.id.empty() || call.hash.empty()) return std::nullopt;
  const auto function = fault_trace::functionOf(inside);
  if (function < Page::kMostFunctions) call.function = textOf(page.functions[function]);
  if (call.function.empty()) call.function = "function " + std::to_string(function);
  return call;
}

}  // namespace

TraceMemory TraceMemory::make() noexcept {
  TraceMemory made;
  made.memory_ = Fd(::memfd_create("lemonade-trace", MFD_CLOEXEC));
  if (made.memory_ && ::ftruncate(made.memory_.get(), sizeof(Page)) != 0) made.memory_.reset();
  return made;
}

LastMoments TraceMemory::read() const {
  LastMoments moments;
  // Read rather than mapped: a process that cut the file short would otherwise take this one along.
  const auto bytes = std::make_unique<Page>();
  if (!memory_ || ::pread(memory_.get(), bytes.get(), sizeof(Page), 0) != static_cast<ssize_t>(sizeof(Page)))
    return moments;
  const Page& page = *bytes;
  if (textOf(page.magic) != Page::kMagic) return moments;
  if (page.fault.told.load() == 1) {
    FatalFault fault{callOf(page, page.fault.inside, textOf(page.fault.thread)), page.fault.signal, {}, {}};
    if (page.fault.has_offset == 1) fault.offset = page.fault.offset;
    fault.note = textOf(page.fault.note);
    moments.fault = std::move(fault);
  }
  for (const auto& thread : page.threads)
    if (thread.taken.load() == 1)
      if (auto call = callOf(page, thread.inside.load(), textOf(thread.name))) moments.running.push_back(*call);
  return moments;
}

}  // namespace lemonade::supervisor
