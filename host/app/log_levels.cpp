// SPDX-License-Identifier: MIT
#include "app/log_levels.h"

#include "admin/target.h"
#include "base/nanoseconds.h"
#include "config/change.h"
#include "config/duration.h"

#include <Poco/DateTimeFormat.h>
#include <Poco/DateTimeFormatter.h>
#include <Poco/JSON/Object.h>
#include <Poco/Timestamp.h>

#include <sstream>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration kShortestTime = 10ms;
constexpr Duration kLongestTime = std::chrono::hours(24 * 30);

std::string rfc3339(std::uint64_t unix_ns) {
  const Poco::Timestamp time(static_cast<std::int64_t>(unix_ns / 1'000));
  return Poco::DateTimeFormatter::format(time, Poco::DateTimeFormat::ISO8601_FRAC_FORMAT);
}

}  // namespace

void LogLevels::configure(const config::Config& config, bool in_force) {
  loop_.cancel(std::exchange(timer_, 0));
  format_ = config.log_format;
  {
    const std::lock_guard lock(mutex_);
    configured_ = config.log_levels;
  }
  if (in_force) {
    const std::lock_guard lock(mutex_);
    levels_ = configured_;
  } else {
    apply(config.log_levels, "");
  }
}

void LogLevels::set(const log::Levels& levels, const std::optional<Duration>& lasting) {
  loop_.cancel(std::exchange(timer_, 0));
  apply(levels, lasting ? rfc3339(unixNs() + ns(*lasting)) : "reload");
  if (!lasting) return;
  timer_ = loop_.after(*lasting, [this] {
    timer_ = 0;
    apply(configured_, "");
    log::info("app", "the log has its configured level again", {{"level", config::show(configured_)}});
  });
}

void LogLevels::apply(const log::Levels& levels, const std::string& until) {
  log::start(levels, format_);
  const std::lock_guard lock(mutex_);
  levels_ = levels;
  until_ = until;
}

std::string LogLevels::json() const {
  Poco::JSON::Object object(Poco::JSON_PRESERVE_KEY_ORDER);
  {
    const std::lock_guard lock(mutex_);
    object.set("level", config::show(levels_));
    object.set("configured", config::show(configured_));
    object.set("until", until_.empty() ? Poco::Dynamic::Var() : Poco::Dynamic::Var(until_));
  }
  std::ostringstream text;
  object.stringify(text, 2);
  text << "\n";
  return std::move(text).str();
}

Result<LogLevelOrder> readLogLevelOrder(const std::string& query) {
  const auto parameters = admin::parseQuery(query);
  if (!parameters) return Error{"the query is encoded wrongly"};
  LogLevelOrder order;
  bool has_level = false;
  for (const auto& [name, text] : *parameters) {
    if (name == "level") {
      auto levels = log::parseLevels(text);
      if (!levels) return std::move(levels).error().in("level");
      order.levels = std::move(levels).value();
      has_level = true;
    } else if (name == "for") {
      order.lasting = config::parseDuration(text);
      if (!order.lasting || *order.lasting < kShortestTime || *order.lasting > kLongestTime)
        return Error{"for is \"" + text + "\"; give a duration of 10ms to 720h, such as \"10m\""};
    } else {
      return Error{"there is no parameter \"" + name + "\"; give level and for"};
    }
  }
  if (!has_level) return Error{"give ?level=, such as level=debug or level=info,health=debug"};
  return order;
}

}  // namespace lemonade::app
