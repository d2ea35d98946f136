// SPDX-License-Identifier: MIT
//
// The log: one line for each event, on standard error, as text or JSON. Lines go through Poco::Logger into a bounded
// channel that never blocks; what does not fit is dropped and counted. Any thread may write.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

namespace lemonade::log {

enum class Level { kError, kWarning, kInfo, kDebug };
enum class Format { kText, kJson };

/// One name=value of a line, such as backend=web-1.
struct Field {
  std::string_view name;
  std::string value;
};

/// The level of everything, and of the components that differ from it ("health" -> debug).
struct Levels {
  Level all = Level::kInfo;
  std::map<std::string, Level, std::less<>> components;
};

/// Parses "info", "warn,health=debug" and RUST_LOG's spelling: error, warn(ing), info, debug, trace (as debug), off (as
/// error). A directive lemonade_load_balancer=LEVEL sets the level of everything.
Result<Levels> parseLevels(std::string_view text);

/// Starts the writer thread; before it, and after stop(), lines are written at once. Again: changes levels and format.
void start(const Levels& levels, Format format);
/// Writes what is queued and ends the writer thread.
void stop();

/// True where a line of this component and level would be written: ask before composing an expensive one.
bool enabled(std::string_view component, Level level) noexcept;

/// Writes one line. message is a sentence without a full stop; what varies goes into the fields.
void write(Level level, std::string_view component, std::string_view message, std::initializer_list<Field> fields = {});

inline void error(std::string_view component, std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::kError, component, message, fields);
}
inline void warning(std::string_view component, std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::kWarning, component, message, fields);
}
inline void info(std::string_view component, std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::kInfo, component, message, fields);
}
inline void debug(std::string_view component, std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::kDebug, component, message, fields);
}

/// Lines dropped because the writer could not keep up, since the process began.
std::uint64_t dropped() noexcept;

}  // namespace lemonade::log
