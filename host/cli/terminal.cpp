// SPDX-License-Identifier: MIT
#include "cli/terminal.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <sstream>
#include <string_view>

namespace lemonade::cli {

namespace {

volatile sig_atomic_t interrupted_by = 0;

void write(std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  ::sigaction(signal, &action, nullptr);
}

constexpr std::string_view kEnter = "\033[?1049h\033[?25l";  // the other screen, without a cursor
constexpr std::string_view kLeave = "\033[?25h\033[?1049l";

}  // namespace

bool Terminal::isThere() { return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1; }

Terminal::Terminal() {
  (void)::tcgetattr(STDIN_FILENO, &before_);
  termios raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  (void)::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT})
    handle(signal, [](int number) { interrupted_by = number; });
  handle(SIGWINCH, [](int) {});  // so that it ends a wait for keys
  write(kEnter);
  measure();
}

Terminal::~Terminal() {
  write(kLeave);
  (void)::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

bool Terminal::interrupted() noexcept { return interrupted_by != 0; }

void Terminal::measure() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return;
  rows_ = size.ws_row;
  columns_ = size.ws_col;
}

void Terminal::draw(const std::string& lines) {
  measure();
  std::string screen = "\033[H";
  std::istringstream all(lines);
  std::size_t row = 0;
  for (std::string line; row < rows_ && std::getline(all, line); ++row)
    screen += (row == 0 ? "" : "\r\n") + clipped(line, columns_) + "\033[K";
  write(screen + "\033[J");
}

std::optional<char> Terminal::key(Duration within) const {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(within).count();
  if (::poll(&input, 1, static_cast<int>(millis)) <= 0) return std::nullopt;
  char key = 0;
  const auto got = ::read(STDIN_FILENO, &key, 1);
  if (got == 0) interrupted_by = SIGHUP;  // the terminal is gone
  return got == 1 ? std::optional(key) : std::nullopt;
}

std::string clipped(const std::string& line, std::size_t columns) {
  std::string result;
  std::size_t column = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\033') {  // a colour takes no column, and is taken also behind the last one, where it ends
      const auto end = line.find('m', i);
      if (end == std::string::npos) break;
      result.append(line, i, end - i + 1);
      i = end;
      continue;
    }
    const bool begins = (static_cast<unsigned char>(line[i]) & 0xc0) != 0x80;
    column += begins ? 1 : 0;
    if (column <= columns) result += line[i];
  }
  return result;
}

}  // namespace lemonade::cli
