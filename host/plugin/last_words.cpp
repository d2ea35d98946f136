// SPDX-License-Identifier: MIT
#include "plugin/last_words.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

// Where the host's own code begins and ends, from the linker.
extern "C" const char __executable_start;
extern "C" const char etext;

namespace lemonade::plugin {

namespace {

constexpr std::size_t kTail = 4;  // what closes the line
constexpr std::uint64_t kSecondsOfDay = 86'400;

struct Date {
  std::uint64_t year, month, day;
};

/// Of a day since 1970, by Hinnant's algorithm: years begin in March, so that the leap day is their last.
Date dateOf(std::uint64_t days) noexcept {
  const std::uint64_t shifted = days + 719'468;
  const std::uint64_t era = shifted / 146'097, of_era = shifted % 146'097;
  const std::uint64_t year = (of_era - of_era / 1'460 + of_era / 36'524 - of_era / 146'096) / 365;
  const std::uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
  const std::uint64_t month = (5 * of_year + 2) / 153;
  const std::uint64_t day = of_year - (153 * month + 2) / 5 + 1;
  return {year + era * 400 + (month >= 10 ? 1 : 0), month < 10 ? month + 3 : month - 9, day};
}

}  // namespace

LastWords::LastWords(std::string_view message, bool json) noexcept : json_(json) {
  if (json_) append("{\"time\":\"");
  appendTime();
  append(json_ ? "\",\"level\":\"ERROR\",\"component\":\"plugin\",\"message\":\"" : " ERROR plugin: ");
  append(message);
  if (json_) append("\"");
}

void LastWords::appendTime() noexcept {
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  const auto seconds = static_cast<std::uint64_t>(now.tv_sec);
  const Date date = dateOf(seconds / kSecondsOfDay);
  const std::uint64_t of_day = seconds % kSecondsOfDay;
  appendNumber(date.year, 10, 4);
  append("-");
  appendNumber(date.month, 10, 2);
  append("-");
  appendNumber(date.day, 10, 2);
  append("T");
  appendNumber(of_day / 3'600, 10, 2);
  append(":");
  appendNumber(of_day / 60 % 60, 10, 2);
  append(":");
  appendNumber(of_day % 60, 10, 2);
  append("Z");
}

LastWords& LastWords::field(std::string_view name, std::string_view text) noexcept {
  begin(name);
  appendQuoted(text);
  return *this;
}

LastWords& LastWords::field(std::string_view name, std::uint64_t number) noexcept {
  begin(name);
  appendNumber(number, 10, 1);
  return *this;
}

LastWords& LastWords::address(std::string_view name, const void* address) noexcept {
  begin(name);
  append(json_ ? "\"0x" : "0x");
  appendNumber(reinterpret_cast<std::uintptr_t>(address), 16, 1);
  if (json_) append("\"");
  return *this;
}

LastWords& LastWords::backtrace(std::span<const void* const> frames) noexcept {
  const auto first = reinterpret_cast<std::uintptr_t>(&__executable_start);
  const auto end = reinterpret_cast<std::uintptr_t>(&etext);
  begin("backtrace");
  append("\"");
  for (const void* const& frame : frames) {
    const auto at = reinterpret_cast<std::uintptr_t>(frame);
    const bool ours = at >= first && at < end;
    if (&frame != frames.data()) append(" < ");
    append(ours ? "lemonade+0x" : "0x");
    appendNumber(ours ? at - first : at, 16, 1);
  }
  append("\"");
  return *this;
}

void LastWords::write() noexcept {
  const std::string_view tail = json_ ? "}\n" : "\n";
  std::memcpy(line_ + size_, tail.data(), tail.size());
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line_, size_ + tail.size());
}

void LastWords::begin(std::string_view name) noexcept {
  append(json_ ? ",\"" : " ");
  append(name);
  append(json_ ? "\":" : "=");
}

void LastWords::append(std::string_view text) noexcept {
  const std::size_t room = sizeof(line_) - kTail - size_;
  const std::size_t size = std::min(room, text.size());
  std::memcpy(line_ + size_, text.data(), size);
  size_ += size;
}

void LastWords::appendQuoted(std::string_view text) noexcept {
  append("\"");
  for (const char& c : text) {
    if (c == '"' || c == '\\') append("\\");
    const auto byte = static_cast<unsigned char>(c);
    append(byte < ' ' || byte >= 0x7f ? std::string_view("?") : std::string_view(&c, 1));
  }
  append("\"");
}

void LastWords::appendNumber(std::uint64_t number, unsigned base, int digits) noexcept {
  char text[20];
  char* first = std::end(text);
  for (; number != 0 || digits > 0; number /= base, --digits) *--first = "0123456789abcdef"[number % base];
  append({first, static_cast<std::size_t>(std::end(text) - first)});
}

}  // namespace lemonade::plugin
