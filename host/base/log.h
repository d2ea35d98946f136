// SPDX-License-Identifier: MIT
//
// The log: one line for each event, on standard error, as text or JSON. Lines go through Poco::Logger into a bounded
// channel that never blocks; what does not fit is dropped and counted. Any thread may write.
#pragma once

#include "base/result.h"

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace lemonade::log {

enum class Level { kError, kWarning, kInfo, kDebug };
enum class Format { kText, kJson };

/// A number with so many digits after the point.
struct Decimal {
  double number;
  int places;
};

/// Milliseconds with three digits after the point.
constexpr Decimal milliseconds(std::uint64_t ns) noexcept { return {static_cast<double>(ns) / 1e6, 3}; }

/// What a field says. Text is borrowed for the call that the field is handed to, so nothing is allocated here; numbers
/// and truths are kept as such, because JSON spells them without quotes.
class Value {
 public:
  Value(std::string_view text) noexcept : value_(text) {}
  Value(const char* text) noexcept : value_(std::string_view(text)) {}
  Value(const std::string& text) noexcept : value_(std::string_view(text)) {}
  Value(Decimal number) noexcept : value_(number) {}
  Value(std::same_as<bool> auto truth) noexcept : value_(truth) {}
  Value(std::signed_integral auto number) noexcept : value_(std::int64_t{number}) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Value(T number)
  noexcept : value_(std::uint64_t{number}) {}

  using Kinds = std::variant<std::string_view, bool, std::int64_t, std::uint64_t, Decimal>;
  const Kinds& get() const noexcept { return value_; }

 private:
  Kinds value_;
};

/// One name=value of a line, such as backend=web-1.
struct Field {
  std::string_view name;
  Value value;
};

/// The level of everything, and of the components that differ from it ("health" -> debug).
struct Levels {
  Level all = Level::kInfo;
  std::map<std::string, Level, std::less<>> components;

  bool operator==(const Levels&) const = default;
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

/// Writes one line. message is a sentence without a full stop; what varies goes into the fields. A line that there is
/// no memory for is dropped and counted.
void write(Level level, std::string_view component, std::string_view message, std::span<const Field> fields) noexcept;
inline void write(Level level, std::string_view component, std::string_view message,
                  std::initializer_list<Field> fields = {}) noexcept {
  write(level, component, message, std::span(fields.begin(), fields.size()));
}

inline void error(std::string_view component, std::string_view message,
                  std::initializer_list<Field> fields = {}) noexcept {
  write(Level::kError, component, message, fields);
}
inline void warning(std::string_view component, std::string_view message,
                    std::initializer_list<Field> fields = {}) noexcept {
  write(Level::kWarning, component, message, fields);
}
inline void info(std::string_view component, std::string_view message,
                 std::initializer_list<Field> fields = {}) noexcept {
  write(Level::kInfo, component, message, fields);
}
inline void debug(std::string_view component, std::string_view message,
                  std::initializer_list<Field> fields = {}) noexcept {
  write(Level::kDebug, component, message, fields);
}

/// Lines dropped because the writer could not keep up or memory was out, since the process began.
std::uint64_t dropped() noexcept;

}  // namespace lemonade::log
