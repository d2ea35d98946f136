// SPDX-License-Identifier: MIT
//
// One event of the log and how it is spelled. Whatever the values hold, the result is one line of UTF-8: nobody forges
// a second line, or a field, with what they send. Stateless; any thread.
#pragma once

#include "base/log.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lemonade::log {

/// What write() was told, borrowed for the duration of a call.
struct Event {
  std::int64_t unix_us = 0;  ///< microseconds since 1970
  Level level = Level::kInfo;
  std::string_view component;
  std::string_view message;
  std::span<const Field> fields;
};

/// The event as one line, its newline included.
///   text: 2026-11-23T15:40:00.123456Z INFO health: backend is down backend=web-1 reason="connection refused"
///   JSON: {"time":"...","level":"INFO","component":"app","message":"a backend drains","backend":"web-1","sessions":3}
/// In text, values that are empty or hold spaces, quotes or the like are quoted; control characters and bytes that are
/// not UTF-8 are escaped as \n, \t or \xNN. In JSON such bytes become U+FFFD, what was handed over as a number or a
/// bool stands without quotes, and a field that has the name of one of the four fixed ones gets a "_" appended.
std::string formatLine(const Event& event, Format format);

/// Text that somebody else chose, as a line of the log has it: one line of valid UTF-8 without control characters,
/// which become \n, \t or \xNN.
std::string printable(std::string_view text);

/// The text with U+FFFD for each byte that is not UTF-8: what JSON can hold.
std::string validUtf8(std::string_view text);

}  // namespace lemonade::log
