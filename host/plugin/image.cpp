// SPDX-License-Identifier: MIT
#include "plugin/image.h"

#include "base/fd.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <boost/dll/shared_library.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <list>
#include <new>

namespace lemonade::plugin {

namespace {

Status writeAll(int fd, const std::vector<std::byte>& content) {
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::write(fd, content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{std::strerror(errno)};
    done += static_cast<std::size_t>(n);
  }
  return success();
}

/// The private copy, at a path no generation had before. The copy keeps its name while the process lives: sanitizers and
/// profilers look symbols up by it.
Result<std::string> copyToFile(const PluginFile& file, const std::string& directory, std::uint64_t generation) {
  const std::string path =
      directory + "/" + file.id + "-g" + std::to_string(generation) + "-" + file.hash.substr(0, 12) + ".so";
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0500));
  if (!fd) return Error{"cannot write the private copy " + path + ": " + std::strerror(errno)};
  if (auto written = writeAll(fd.get(), file.content); !written)
    return std::move(written).error().in("cannot write the private copy " + path);
  return path;
}

/// Where no directory allows execution: a sealed memfd, kept open for the life of the image, since its /proc path is its
/// name.
Result<std::string> copyToMemory(const PluginFile& file) {
  Fd fd(::memfd_create(file.id.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return Error{std::string("cannot make a private copy in memory: ") + std::strerror(errno)};
  if (auto written = writeAll(fd.get(), file.content); !written)
    return std::move(written).error().in("cannot make a private copy in memory");
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
    return Error{std::string("cannot seal the private copy: ") + std::strerror(errno)};
  return "/proc/self/fd/" + std::to_string(fd.release());
}

Status checkEntry(const lemonade_plugin_t& entry, const PluginFile& file) {
  if (file.id != entry.id || file.version != entry.version)
    return Error{"says another id or version once loaded (" + std::string(entry.id) + " " + entry.version + ")"};
  if (entry.struct_size < sizeof(lemonade_plugin_t))
    return Error{"has a descriptor of " + std::to_string(entry.struct_size) + " bytes (struct_size); version 1.0 has " +
                 std::to_string(sizeof(lemonade_plugin_t))};
  if (entry.get_interface == nullptr) return Error{"has no get_interface"};
  if (entry.option_count != 0 && (entry.options == nullptr || entry.option_stride < sizeof(lemonade_option_t)))
    return Error{"has a broken option schema (options, option_stride)"};
  return success();
}

}  // namespace

Result<std::shared_ptr<const Image>> Image::load(const PluginFile& file, const std::string& directory,
                                                 std::uint64_t generation) {
  auto path = directory.empty() ? copyToMemory(file) : copyToFile(file, directory, generation);
  if (!path) return std::move(path).error();

  boost::dll::fs::error_code failed;
  ::dlerror();
  boost::dll::shared_library library(
      path.value(), boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local, failed);
  if (failed) {
    // Boost's error code is always the same; the dynamic linker knows why.
    const char* why = ::dlerror();
    return Error{"cannot be loaded: " + (why != nullptr ? std::string(why) : failed.message())};
  }
  const auto* entry =
      library.has(LEMONADE_ENTRY_SYMBOL) ? &library.get<const lemonade_plugin_t>(LEMONADE_ENTRY_SYMBOL) : nullptr;
  // The library's destructor would unmap it, so it goes where no destructor runs and a leak checker still finds it.
  static auto& mapped = *new std::list<boost::dll::shared_library>;
  mapped.push_back(std::move(library));
  if (entry == nullptr) return Error{"exports no " LEMONADE_ENTRY_SYMBOL " once loaded"};
  if (auto checked = checkEntry(*entry, file); !checked) return std::move(checked).error();

  std::shared_ptr<Image> image(new Image());
  image->entry_ = entry;
  image->id_ = file.id;
  image->version_ = file.version;
  image->file_ = file.path;
  image->hash_ = file.hash;
  image->generation_ = generation;
  return std::shared_ptr<const Image>(std::move(image));
}

}  // namespace lemonade::plugin
