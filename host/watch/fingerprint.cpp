// SPDX-License-Identifier: MIT
#include "watch/fingerprint.h"

#include "base/fd.h"
#include "plugin/shared_objects.h"
#include "watch/looker.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <thread>

namespace lemonade {

namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstLimit = 25s;  // more than a pipe is given
constexpr auto kWriterMoment = 100ms;
constexpr int kMostWriterMoments = 20;

}  // namespace

const char* const kHangs = "cannot be read: its file system does not answer; is it on a mount whose server is gone?";

FileContent lookAtFile(const std::optional<std::string>& file, config::Streams streams) {
  if (!file) return {};
  auto content = config::readContent(*file, streams);
  if (!content) return {"", std::move(content).error().message, true};
  return {std::move(content.value().text), "", content.value().again};
}

FileContent lookAtFirst(const std::optional<std::string>& file) {
  const auto seen = std::make_shared<FileContent>();
  Looker looker;
  const bool ended = looker.look(
      [seen, file] {
        for (int i = 0; file && i < kMostWriterMoments && askForWriter(*file).value_or(false); ++i)
          std::this_thread::sleep_for(kWriterMoment);
        *seen = lookAtFile(file, config::Streams::kRead);
      },
      kFirstLimit);
  return ended ? *seen : FileContent{"", kHangs, true};
}

// The kernel grants a read lease only where nobody has the file open for writing.
std::optional<bool> askForWriter(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return std::nullopt;
  if (::fcntl(fd.get(), F_SETLEASE, F_RDLCK) == 0) {
    (void)::fcntl(fd.get(), F_SETLEASE, F_UNLCK);
    return false;
  }
  return errno == EAGAIN ? std::optional(true) : std::nullopt;
}

std::string lookAtPlugin(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return path + "\n";
  return path + " " + std::to_string(status.st_dev) + " " + std::to_string(status.st_ino) + " " +
         std::to_string(status.st_size) + " " + std::to_string(status.st_mtim.tv_sec) + "." +
         std::to_string(status.st_mtim.tv_nsec) + " " + std::to_string(status.st_ctim.tv_sec) + "." +
         std::to_string(status.st_ctim.tv_nsec) + "\n";
}

std::string lookAtPlugins(const std::vector<std::string>& directories) {
  std::string seen;
  for (const auto& file : pluginFiles(directories)) seen += lookAtPlugin(file);
  return seen;
}

std::vector<std::string> pluginFiles(const std::vector<std::string>& directories) {
  std::vector<std::string> files;
  for (const auto& directory : directories) {
    std::error_code failed;
    const auto found = plugin::sharedObjects(directory, failed);
    files.insert(files.end(), found.begin(), found.end());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace lemonade
