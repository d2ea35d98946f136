// SPDX-License-Identifier: MIT
#include "plugin/private_copies.h"

#include "base/read_write.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // Linux 6.3; older headers lack it
#endif

namespace lemonade::plugin {

namespace {

Error failure(const std::string& what) { return {what + ": " + std::strerror(errno)}; }

Status write(int fd, const std::vector<std::byte>& content) {
  return writeAll(fd, content.data(), content.size()) ? success() : failure("cannot be written");
}

/// What the dynamic linker is going to do with it: find it by its path and map it for execution.
Status checkLoadable(int fd, const std::string& path) {
  struct stat of_fd {
  }, of_path{};
  if (::fstat(fd, &of_fd) != 0 || ::stat(path.c_str(), &of_path) != 0) return failure("cannot be found again");
  if (of_fd.st_dev != of_path.st_dev || of_fd.st_ino != of_path.st_ino)
    return Error{"is another file now than the one that was written"};
  void* page = ::mmap(nullptr, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  if (page == MAP_FAILED) return failure("does not allow execution");
  ::munmap(page, 1);
  return success();
}

/// The copy keeps its name as long as it is mapped: sanitizers and profilers look symbols up by it.
Result<PrivateCopy> copyToDirectory(const PrivateDirectory& directory, const PluginFile& file,
                                    const std::string& name) {
  const std::string path = directory.path() + "/" + name;
  // In the directory that is ours, whatever has its name by now.
  const int into = directory.fd();
  const Fd fd(::openat(into, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0500));
  if (!fd) return failure(path + " cannot be made");
  auto status = write(fd.get(), file.content);
  if (status) status = checkLoadable(fd.get(), path);
  if (status) return PrivateCopy{path};
  (void)::unlinkat(into, name.c_str(), 0);
  return std::move(status).error().in(path);
}

Result<PrivateCopy> copyToMemory(const PluginFile& file) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  Fd fd(::memfd_create(file.id.c_str(), kFlags | MFD_EXEC));
  if (!fd && errno == EINVAL) fd = Fd(::memfd_create(file.id.c_str(), kFlags));
  if (!fd) return failure("memory cannot be had");
  const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
  if (auto written = write(fd.get(), file.content); !written) return std::move(written).error().in("a copy in memory");
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
    return failure("a copy in memory cannot be sealed");
  if (auto loadable = checkLoadable(fd.get(), path); !loadable)
    return std::move(loadable).error().in("a copy in memory, which needs /proc to be mounted, as " + path);
  return PrivateCopy{path, std::move(fd)};
}

}  // namespace

PrivateCopies::PrivateCopies(const std::string& preferred) { prefer(preferred); }

void PrivateCopies::prefer(const std::string& directory) {
  auto parents = PrivateDirectory::parents(directory);
  if (parents == parents_) return;
  parents_ = std::move(parents);
  preferred_ = directory;
  swept_ += PrivateDirectory::sweep(parents_);
  leaveDirectory();
}

Result<PrivateCopy> PrivateCopies::make(const PluginFile& file, std::uint64_t image_generation) {
  if (parents_.empty()) return copyToMemory(file);
  const std::string name = file.id + "-g" + std::to_string(image_generation) + "-" + file.hash.substr(0, 12) + ".so";
  std::string trouble;
  if (current_ != nullptr) {
    auto copy = copyToDirectory(*current_, file, name);
    if (copy) return copy;
    trouble = copy.error().message;
    leaveDirectory();
  }
  for (const auto& parent : parents_) {
    auto copy = copyToNewDirectory(parent, file, name);
    if (copy && !trouble.empty()) remark(trouble + "; they are made in " + current_->path());
    if (copy) return copy;
    // Of the usual places one that does not serve is nothing that an operator chose.
    if (trouble.empty() && (parent == preferred_ || parent == parents_.back())) trouble = copy.error().message;
  }
  auto copy = copyToMemory(file);
  if (copy) remark(trouble + "; they are kept in memory");
  if (copy) return copy;
  return Error{"has no private copy to be loaded from: " + trouble + "; " + copy.error().message +
               "; set plugins.cache_directory to a folder with room that allows execution"};
}

Result<PrivateCopy> PrivateCopies::copyToNewDirectory(const std::string& parent, const PluginFile& file,
                                                      const std::string& name) {
  auto directory = PrivateDirectory::make(parent);
  if (!directory) return std::move(directory).error();
  auto copy = copyToDirectory(*directory.value(), file, name);
  if (copy) current_ = directories_.emplace_back(std::move(directory).value()).get();
  return copy;
}

// A directory that holds copies stays until the end: they are named as long as they are mapped.
void PrivateCopies::leaveDirectory() {
  current_ = nullptr;
  directories_.remove_if([](const auto& one) { return one->empty(); });
}

void PrivateCopies::remark(const std::string& trouble) {
  std::string text = "the private copies of plugins cannot go where they should: " + trouble;
  if (text == last_remark_) return;
  last_remark_ = text;
  remarks_.push_back(std::move(text));
}

}  // namespace lemonade::plugin
