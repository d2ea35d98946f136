// SPDX-License-Identifier: MIT
#include "plugin/broken_call.h"

#include "base/seconds.h"

#include <cxxabi.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace lemonade::plugin {

namespace {

constexpr std::size_t kMostShown = 16;

std::string hex(std::uintptr_t number) {
  char text[24];
  (void)std::snprintf(text, sizeof(text), "0x%zx", static_cast<std::size_t>(number));
  return text;
}

std::string demangled(const char* name) {
  int status = 0;
  char* const text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = status == 0 && text != nullptr ? text : name;
  std::free(text);
  return result;
}

const void* baseOf(const void* address) {
  Dl_info info;
  return address != nullptr && ::dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

std::string fileName(const std::string& path) { return std::filesystem::path(path).filename().string(); }

/// Where an address lies: in the plugin's own file by the name that people know, else in the file that is mapped.
std::string placeOf(const void* address, const Guard& guard, const void* image) {
  const void* const base = baseOf(address);
  if (base == nullptr) return hex(reinterpret_cast<std::uintptr_t>(address));
  Dl_info info;
  (void)::dladdr(address, &info);
  const bool own = base == image && !guard.info().file.empty();
  std::string text = own ? fileName(guard.info().file) : fileName(info.dli_fname);
  text += "+" + hex(static_cast<std::uintptr_t>(static_cast<const char*>(address) - static_cast<const char*>(base)));
  if (info.dli_sname != nullptr) text += " (" + std::string(info.dli_sname) + ")";
  return text;
}

std::string whatOf(const Fault& fault) {
  std::string name = nameOf(fault.kind);
  switch (fault.kind) {
    case FaultKind::kSegv:
    case FaultKind::kBus:
      return name + " at " + hex(reinterpret_cast<std::uintptr_t>(fault.address));
    case FaultKind::kException:
      return name + " " + demangled(fault.detail);
    case FaultKind::kFpe:
      return fault.detail[0] == '\0' ? name : name + ": " + fault.detail;
    case FaultKind::kExit:
      return std::string(fault.detail) + "()";
    case FaultKind::kHang:
      return name + ", after " + secondsText(fault.lasted_ns);
    default:
      return name;
  }
}

}  // namespace

BrokenCall describe(const Fault& fault, const std::string& thread) {
  BrokenCall call;
  call.guard = fault.guard;
  call.info = fault.guard->info();
  call.function = fault.function;
  call.kind = fault.kind;
  call.thread = thread;
  call.what = whatOf(fault);
  const void* const image = baseOf(fault.guard->inImage());
  const void* const host = baseOf(reinterpret_cast<const void*>(&describe));
  std::size_t first = 0;  // what the host itself did to break the call off is of no interest
  while (first < fault.frame_count && host != image && baseOf(fault.frames[first]) == host) ++first;
  if (first == fault.frame_count) first = 0;
  for (std::size_t i = first; i < fault.frame_count && i < first + kMostShown; ++i) {
    const auto place = placeOf(fault.frames[i], *fault.guard, image);
    if (call.place.empty() && image != nullptr && baseOf(fault.frames[i]) == image) call.place = place;
    call.backtrace += (call.backtrace.empty() ? "" : " < ") + place;
  }
  return call;
}

}  // namespace lemonade::plugin
