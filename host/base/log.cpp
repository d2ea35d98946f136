// SPDX-License-Identifier: MIT
//
// Levels are an immutable set behind one atomic pointer, so that asking for them costs a load and no lock. Sets that
// were in force are kept and used again when they come back: readers need no protection, and reloads that alternate
// between two settings do not grow memory.
#include "base/log.h"

#include "base/clock.h"
#include "base/log_channel.h"
#include "base/log_line.h"

#include <Poco/Logger.h>
#include <Poco/String.h>
#include <Poco/StringTokenizer.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <forward_list>
#include <mutex>
#include <optional>

namespace lemonade::log {
namespace {

/// What RUST_LOG called the balancer: with the crate, everything is meant; below it, one of its components.
constexpr std::string_view kCrate = "lemonade_load_balancer";
constexpr std::string_view kCrateScope = "lemonade_load_balancer::";

std::int64_t microsecondsNow() { return static_cast<std::int64_t>(unixNs() / 1'000); }

Poco::Message::Priority priorityOf(Level level) {
  switch (level) {
    case Level::kError:
      return Poco::Message::PRIO_ERROR;
    case Level::kWarning:
      return Poco::Message::PRIO_WARNING;
    case Level::kInfo:
      return Poco::Message::PRIO_INFORMATION;
    case Level::kDebug:
      break;
  }
  return Poco::Message::PRIO_DEBUG;
}

struct Output {
  Output()
      : channel(new BoundedChannel(STDERR_FILENO, [this](std::uint64_t count) { return dropNotice(count); })),
        logger(&Poco::Logger::create("lemonade", channel, Poco::Message::PRIO_TRACE), true) {
    levels.store(&sets.emplace_front());
  }

  std::string dropNotice(std::uint64_t count) const {
    const auto message = std::to_string(count) + (count == 1 ? " log line dropped" : " log lines dropped");
    return formatLine({microsecondsNow(), Level::kWarning, "log", message, {}}, format.load());
  }

  std::atomic<const Levels*> levels;
  std::atomic<Format> format{Format::kText};
  Poco::AutoPtr<BoundedChannel> channel;
  Poco::Logger::Ptr logger;

  std::mutex mutex;  // guards what follows, and start() against stop()
  std::forward_list<Levels> sets;
};

/// Never destroyed: whatever ends last may still write a line.
Output& output() {
  static Output& instance = *new Output;
  return instance;
}

std::optional<Level> parseLevel(const std::string& word) {
  const auto lower = Poco::toLower(word);
  if (lower == "error" || lower == "off") return Level::kError;
  if (lower == "warn" || lower == "warning") return Level::kWarning;
  if (lower == "info") return Level::kInfo;
  if (lower == "debug" || lower == "trace") return Level::kDebug;
  return std::nullopt;
}

bool sameLevels(const Levels& a, const Levels& b) { return a.all == b.all && a.components == b.components; }

}  // namespace

Result<Levels> parseLevels(std::string_view text) {
  Levels levels;
  std::optional<Level> of_crate;
  const Poco::StringTokenizer directives(std::string(text), ",",
                                         Poco::StringTokenizer::TOK_TRIM | Poco::StringTokenizer::TOK_IGNORE_EMPTY);
  for (const auto& directive : directives) {
    const auto equals = directive.find('=');
    const auto word = Poco::trim(equals == std::string::npos ? directive : directive.substr(equals + 1));
    const auto level = parseLevel(word);
    if (!level) return Error{"unknown log level \"" + word + "\"; use error, warn, info or debug"};
    if (equals == std::string::npos) {
      levels.all = *level;
      continue;
    }
    auto component = Poco::trim(directive.substr(0, equals));
    if (component.empty()) return Error{"no component before \"=" + word + "\"; write component=level"};
    if (component == kCrate) {
      of_crate = level;
      continue;
    }
    if (component.starts_with(kCrateScope)) component.erase(0, kCrateScope.size());
    levels.components[component] = *level;
  }
  if (of_crate) levels.all = *of_crate;
  return levels;
}

void start(const Levels& levels, Format format) {
  auto& log = output();
  const std::lock_guard lock(log.mutex);
  const auto known =
      std::find_if(log.sets.begin(), log.sets.end(), [&levels](const Levels& set) { return sameLevels(set, levels); });
  log.levels.store(known != log.sets.end() ? &*known : &log.sets.emplace_front(levels), std::memory_order_release);
  log.format.store(format);
  log.channel->open();
}

void stop() {
  auto& log = output();
  const std::lock_guard lock(log.mutex);
  log.channel->close();
}

bool enabled(std::string_view component, Level level) noexcept {
  const auto& levels = *output().levels.load(std::memory_order_acquire);
  const auto own = levels.components.find(component);
  return level <= (own != levels.components.end() ? own->second : levels.all);
}

void write(Level level, std::string_view component, std::string_view message, std::span<const Field> fields) noexcept {
  if (!enabled(component, level)) return;
  auto& log = output();
  try {
    const Event event{microsecondsNow(), level, component, message, fields};
    log.logger->log(Poco::Message(std::string(component), formatLine(event, log.format.load()), priorityOf(level)));
  } catch (...) {
    log.channel->drop();
  }
}

std::uint64_t dropped() noexcept { return output().channel->dropped(); }

}  // namespace lemonade::log
