// SPDX-License-Identifier: MIT
#include "plugin/image.h"

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <boost/dll/shared_library.hpp>
#include <list>
#include <mutex>

namespace lemonade::plugin {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kKeepAll = true;
#else
constexpr bool kKeepAll = false;
#endif

std::atomic<std::uint64_t> mapped_images{0};

void remove(const PrivateCopy& copy) {
  if (!copy.memory) (void)::unlink(copy.path.c_str());
}

Status checkEntry(const lemonade_plugin_t& entry, const PluginFile& file) {
  if (file.id != entry.id || file.version != entry.version)
    return Error{"says another id or version once loaded (" + std::string(entry.id) + " " + entry.version + ")"};
  if (entry.struct_size < Image::kDescriptorSizeIn1_0)
    return Error{"has a descriptor of " + std::to_string(entry.struct_size) + " bytes (struct_size); version 1.0 has " +
                 std::to_string(Image::kDescriptorSizeIn1_0)};
  if (entry.get_interface == nullptr) return Error{"has no get_interface"};
  if (entry.option_count != 0 && (entry.options == nullptr || entry.option_stride < Image::kOptionSizeIn1_0))
    return Error{"has a broken option schema (options, option_stride)"};
  return success();
}

}  // namespace

Image::Image() noexcept { mapped_images.fetch_add(1, std::memory_order_relaxed); }

Image::~Image() {
  if (unload_safe_ && !kKeepAll && unmap()) {
    remove(copy_);
    mapped_images.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  // It goes where no destructor runs, or that would unmap it, and where a leak checker still finds it.
  static std::mutex mutex;
  static auto& kept = *new std::list<std::unique_ptr<boost::dll::shared_library>>;
  const std::lock_guard lock(mutex);
  kept.push_back(std::move(library_));
  (void)copy_.memory.release();
}

/// True where nothing of it is mapped any more.
bool Image::unmap() {
  library_->unload();
  Dl_info info;
  return ::dladdr(entry_, &info) == 0;
}

std::uint64_t Image::mapped() noexcept { return mapped_images.load(std::memory_order_relaxed); }

Result<std::shared_ptr<const Image>> Image::load(const PluginFile& file, PrivateCopy copy) {
  boost::dll::fs::error_code failed;
  ::dlerror();
  auto library = std::make_unique<boost::dll::shared_library>(
      copy.path, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local, failed);
  if (failed) {
    // Boost's error code is always the same; the dynamic linker knows why.
    const char* why = ::dlerror();
    remove(copy);
    return Error{"cannot be loaded: " + (why != nullptr ? std::string(why) : failed.message())};
  }
  std::shared_ptr<Image> image(new Image());
  image->library_ = std::move(library);
  image->copy_ = std::move(copy);
  if (!image->library_->has(LEMONADE_ENTRY_SYMBOL)) return Error{"exports no " LEMONADE_ENTRY_SYMBOL " once loaded"};
  image->entry_ = &image->library_->get<const lemonade_plugin_t>(LEMONADE_ENTRY_SYMBOL);
  if (auto checked = checkEntry(*image->entry_, file); !checked) return std::move(checked).error();
  image->unload_safe_ = (file.flags & LEMONADE_FLAG_UNLOAD_SAFE) != 0;
  image->id_ = file.id;
  image->version_ = file.version;
  image->file_ = file.path;
  image->hash_ = file.hash;
  return std::shared_ptr<const Image>(std::move(image));
}

}  // namespace lemonade::plugin
