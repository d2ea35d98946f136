// SPDX-License-Identifier: MIT
//
// Child processes of the tests: see process.h.
#include "support/process.h"

#include "support/socket.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <system_error>

namespace lemonade::test {
namespace {

struct Pipe {
  Fd read;
  Fd write;
};

Pipe makePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  return {Fd(fds[0]), Fd(fds[1])};
}

std::vector<std::string> environmentOf(const Environment& additions) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string name(text.substr(0, text.find('=')));
    const bool ours = name.starts_with("LEMONADE_") || name == "RUST_LOG";
    if (!ours && !additions.contains(name)) variables.emplace_back(text);
  }
  for (const auto& [name, value] : additions) variables.push_back(name + "=" + value);
  // The conformance suite of the relays.
  if (const char* relay = std::getenv("LEMONADE_TEST_RELAY");
      relay != nullptr && !additions.contains("LEMONADE_LB_RELAY"))
    variables.push_back(std::string("LEMONADE_LB_RELAY=") + relay);
  // Most tests look at the process that serves, or end it; those of the supervisor set the variable to "".
  if (!additions.contains("LEMONADE_LB_SUPERVISOR")) variables.push_back("LEMONADE_LB_SUPERVISOR=off");
  return variables;
}

std::vector<char*> pointersTo(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Arguments lemonade(const Arguments& arguments) {
  Arguments command;
  const char* wrapper = std::getenv("LEMONADE_TEST_WRAPPER");
  std::istringstream words(wrapper == nullptr ? "" : wrapper);
  for (std::string word; words >> word;) command.push_back(word);
  command.push_back(LEMONADE_BINARY);
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

Process::Process(const Arguments& arguments, const Environment& environment) {
  Pipe out = makePipe();
  Pipe err = makePipe();
  // The kernel ends the child when the thread that started it ends, however that comes about.
  Arguments words = {"setpriv", "--pdeathsig", "KILL", "--"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  auto variables = environmentOf(environment);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out.write.get(), 1);
  ::posix_spawn_file_actions_adddup2(&actions, err.write.get(), 2);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  const int error = ::posix_spawnp(&pid_, words[0].c_str(), &actions, nullptr, pointersTo(words).data(),
                                   pointersTo(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error(error, std::generic_category(), "cannot start " + words[0]);

  // <sys/pidfd.h> of glibc 2.36 cannot be used from C++: it lacks extern "C".
  pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  out_ = std::move(out.read);
  err_ = std::move(err.read);
  reader_ = std::thread([this] { read(); });
}

Process::~Process() {
  if (!code_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  if (reader_.joinable()) reader_.join();
}

void Process::signal(int number) const {
  if (::kill(pid_, number) != 0) throw std::system_error(errno, std::generic_category(), "kill");
}

std::optional<int> Process::wait(Millis within) {
  if (code_) return code_;
  pollfd entry{pidfd_.get(), POLLIN, 0};
  if (::poll(&entry, 1, Deadline(within).remainingMillis()) != 1) return std::nullopt;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  reader_.join();  // so that all it wrote is there
  return code_;
}

void Process::read() {
  pollfd entries[] = {{out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}};
  std::string* texts[] = {&out_text_, &err_text_};
  std::size_t line_start = 0;
  char buffer[16 * 1024];
  while (entries[0].fd >= 0 || entries[1].fd >= 0) {
    if (::poll(entries, 2, -1) < 0) continue;
    for (int i = 0; i < 2; ++i) {
      if (entries[i].revents == 0) continue;
      const auto size = ::read(entries[i].fd, buffer, sizeof(buffer));
      if (size <= 0) {
        entries[i].fd = -1;
        entries[i].revents = 0;
        continue;
      }
      const std::lock_guard lock(mutex_);
      texts[i]->append(buffer, static_cast<std::size_t>(size));
      for (auto end = err_text_.find('\n', line_start); end != std::string::npos;
           end = err_text_.find('\n', line_start)) {
        lines_.push_back(err_text_.substr(line_start, end - line_start));
        line_start = end + 1;
      }
    }
    changed_.notify_all();
  }
}

std::string Process::waitForLog(const std::string& text, Millis within, std::size_t from) {
  const auto until = std::chrono::steady_clock::now() + Millis(Deadline(within).remainingMillis());
  std::unique_lock lock(mutex_);
  while (true) {
    for (; from < lines_.size(); ++from)
      if (lines_[from].find(text) != std::string::npos) return lines_[from];
    if (changed_.wait_until(lock, until) == std::cv_status::timeout)
      throw TimeoutError("no line with \"" + text + "\" came in time; all it wrote:\n" + err_text_);
  }
}

std::size_t Process::logSize() {
  const std::lock_guard lock(mutex_);
  return lines_.size();
}

std::size_t Process::countLog(const std::string& text, std::size_t at_least) {
  const auto until = std::chrono::steady_clock::now() + Millis(Deadline(10s).remainingMillis());
  std::unique_lock lock(mutex_);
  const auto count = [&] {
    return static_cast<std::size_t>(
        std::ranges::count_if(lines_, [&](const auto& line) { return line.find(text) != std::string::npos; }));
  };
  if (!changed_.wait_until(lock, until, [&] { return count() >= at_least; }))
    throw TimeoutError("\"" + text + "\" did not come " + std::to_string(at_least) + " times; all it wrote:\n" +
                       err_text_);
  return count();
}

std::string Process::err() {
  const std::lock_guard lock(mutex_);
  return err_text_;
}

std::string Process::out() {
  const std::lock_guard lock(mutex_);
  return out_text_;
}

Outcome run(const Arguments& arguments, const Environment& environment, Millis within) {
  Process process(arguments, environment);
  const auto code = process.wait(within);
  if (!code) throw TimeoutError(arguments[0] + " did not end in time:\n" + process.err());
  return {*code, process.out(), process.err()};
}

bool installed(const std::string& program) {
  std::istringstream path(std::getenv("PATH"));
  for (std::string folder; std::getline(path, folder, ':');)
    if (std::filesystem::exists(folder + "/" + program)) return true;
  return false;
}

}  // namespace lemonade::test
