// SPDX-License-Identifier: MIT
#include "plugin/guard.h"

#include <link.h>

#include <algorithm>
#include <deque>
#include <mutex>
#include <set>
#include <utility>

namespace lemonade::plugin {

namespace {

struct Extent {
  std::uintptr_t inside, begin, end;
};

/// Takes the extent of the image that has `inside` in it.
int findExtent(dl_phdr_info* image, std::size_t, void* data) {
  auto& extent = *static_cast<Extent*>(data);
  std::uintptr_t begin = UINTPTR_MAX, end = 0;
  for (int i = 0; i < image->dlpi_phnum; ++i) {
    const auto& part = image->dlpi_phdr[i];
    if (part.p_type != PT_LOAD) continue;
    begin = std::min(begin, static_cast<std::uintptr_t>(image->dlpi_addr + part.p_vaddr));
    end = std::max(end, static_cast<std::uintptr_t>(image->dlpi_addr + part.p_vaddr + part.p_memsz));
  }
  if (extent.inside < begin || extent.inside >= end) return 0;
  extent.begin = begin;
  extent.end = end;
  return 1;
}

}  // namespace

Guard::Guard(InstanceInfo info, const void* in_image) : info_(std::move(info)), in_image_(in_image) {
  if (!info_.hash.empty()) traced_.emplace(info_.id, info_.version, info_.hash, info_.file);
  Extent extent{reinterpret_cast<std::uintptr_t>(in_image), 0, 0};
  if (in_image == nullptr || ::dl_iterate_phdr(findExtent, &extent) == 0) return;
  image_ = extent.begin;
  image_end_ = extent.end;
}

std::optional<std::uint64_t> Guard::offsetOf(const void* address) const noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  if (at < image_ || at >= image_end_) return std::nullopt;
  return at - image_;
}

Guard& Guard::make(InstanceInfo info, const void* in_image) {
  static std::mutex mutex;
  static auto& guards = *new std::deque<std::unique_ptr<Guard>>();  // never destroyed, as documented
  const std::lock_guard lock(mutex);
  return *guards.emplace_back(std::make_unique<Guard>(std::move(info), in_image));
}

void keepForEver(std::shared_ptr<const void> what) {
  static std::mutex mutex;
  static auto& kept = *new std::set<std::shared_ptr<const void>>;
  const std::lock_guard lock(mutex);
  kept.insert(std::move(what));
}

}  // namespace lemonade::plugin
