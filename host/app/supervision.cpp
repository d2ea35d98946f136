// SPDX-License-Identifier: MIT
#include "app/supervision.h"

#include "app/exit_codes.h"
#include "base/handed_descriptors.h"
#include "base/log.h"
#include "supervisor/link.h"
#include "supervisor/supervisor.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

namespace lemonade::app {

namespace {

constexpr const char* kVariable = "LEMONADE_SUPERVISE";  // the format of the log
constexpr const char* kJson = "json";

/// Where the program is, as it was called: an upgrade may put another file there, or lead a link elsewhere.
std::string programPath(const std::string& called) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const auto running = fs::read_symlink("/proc/self/exe", failed);
  const auto isIt = [&](const fs::path& path) { return fs::equivalent(path, running, failed); };
  if (called.find('/') != std::string::npos) {
    if (const auto path = fs::absolute(called, failed); isIt(path)) return path;
    return running;
  }
  const char* const search = std::getenv("PATH");
  std::string folders = search != nullptr ? search : "";
  for (std::size_t from = 0; from < folders.size();) {
    const std::size_t end = std::min(folders.find(':', from), folders.size());
    if (const auto path = fs::path(folders.substr(from, end - from)) / called; isIt(path)) return path;
    from = end + 1;
  }
  return running;
}

/// What cannot be read again, for every child; owns nothing where there is no memory for it.
Fd keep(const std::string& text) {
  Fd file(::memfd_create("lemonade-configuration", MFD_CLOEXEC));
  const bool written = file && ::pwrite(file.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
  return written ? std::move(file) : Fd();
}

bool isWanted(config::Supervisor supervisor, const InheritedDescriptors& inherited) {
  return supervisor == config::Supervisor::kOn || (supervisor == config::Supervisor::kAuto && !inherited.activated());
}

}  // namespace

std::optional<int> runSupervisor(const LoadBalancerArguments& arguments, InheritedDescriptors& inherited) {
  const char* const format = std::getenv(kVariable);
  if (format == nullptr) return std::nullopt;
  log::start({}, format == std::string(kJson) ? log::Format::kJson : log::Format::kText);
  (void)::unsetenv(kVariable);
  supervisor::Sockets held, kept;
  for (auto& [name, fd] : inherited.takeListeners())
    held.push_back(std::make_shared<const supervisor::Socket>(supervisor::Socket{name, std::move(fd)}));
  if (Fd fd = inherited.take(supervisor::kConfigName))
    kept.push_back(
        std::make_shared<const supervisor::Socket>(supervisor::Socket{supervisor::kConfigName, std::move(fd)}));
  supervisor::Supervisor supervisor({programPath(arguments.command.front()), nullptr, arguments.command},
                                    std::move(held), std::move(kept));
  const int status = supervisor.run();
  log::stop();
  return supervisor::endLike(status);
}

void becomeSupervisor(const LoadBalancerArguments& arguments, const config::Input& input, const FileContent& file,
                      InheritedDescriptors& inherited) {
  const auto loaded = config::load(input, file.problem.empty() ? Result<std::string>(file.text) : Error{file.problem});
  if (!loaded.ok() || !isWanted(loaded.config.runtime.supervisor, inherited)) return;
  const Fd read_once = input.file && !file.again ? keep(file.text) : Fd();
  auto listeners = inherited.takeListeners();
  HandedDescriptors handed;
  for (const auto& [name, fd] : listeners) handed.add(name, fd.get());
  if (read_once) handed.add(supervisor::kConfigName, read_once.get());
  handed.prepare({std::string(kVariable) + "=" + (loaded.config.log_format == log::Format::kJson ? kJson : "text")});
  std::vector<char*> command;
  std::vector<std::string> words = arguments.command;
  for (auto& word : words) command.push_back(word.data());
  command.push_back(nullptr);
  if (handed.place()) (void)::execve("/proc/self/exe", command.data(), handed.environment());
  // Descriptors that this process needs may be gone.
  log::error("app", "cannot become the supervisor", {{"error", std::strerror(errno)}});
  ::_exit(kRuntimeError);
}

FileContent firstFingerprint(const std::optional<std::string>& file, InheritedDescriptors& inherited) {
  const Fd kept = inherited.take(supervisor::kConfigName);
  struct stat status {};
  if (!kept || ::fstat(kept.get(), &status) != 0) return lookAtFirst(file);
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  if (::pread(kept.get(), text.data(), text.size(), 0) != status.st_size) return lookAtFirst(file);
  return {std::move(text), "", false};
}

}  // namespace lemonade::app
