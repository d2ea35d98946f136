// SPDX-License-Identifier: MIT
#include "cli/simulated.h"

#include "cli/style.h"

#include <Poco/Dynamic/Var.h>
#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <utility>

namespace lemonade::cli {

namespace {

constexpr std::size_t kMostColumns = 12;  // of backends, before only the ends are shown

std::string timeOrNever(double ms) { return std::isfinite(ms) ? millisText(ms) : "never"; }

Table::Cell timeCell(double ms, double best) {
  return number(timeOrNever(ms), ms <= best ? Colour::kGood : std::isfinite(ms) ? Colour::kNone : Colour::kBad);
}

std::string timesTable(const Simulated& simulated, bool colours) {
  Table table({"strategy", "p50", "p99", "p99.9", "errors", "invalid picks"});
  double p50 = std::numeric_limits<double>::max(), p99 = p50, p999 = p50;
  for (const auto& one : simulated.strategies) {
    p50 = std::min(p50, one.p50_ms);
    p99 = std::min(p99, one.p99_ms);
    p999 = std::min(p999, one.p999_ms);
  }
  for (const auto& one : simulated.strategies)
    table.add({{one.id},
               timeCell(one.p50_ms, p50),
               timeCell(one.p99_ms, p99),
               timeCell(one.p999_ms, p999),
               number(std::to_string(one.errors), one.errors == 0 ? Colour::kNone : Colour::kBad),
               number(std::to_string(one.invalid_picks), one.invalid_picks == 0 ? Colour::kNone : Colour::kBad)});
  return table.text(colours);
}

std::string sharesTable(const Simulated& simulated, bool colours) {
  const std::size_t count = std::min(kMostColumns, simulated.backends.size());
  std::vector<std::string> head = {"connections to"};
  head.insert(head.end(), simulated.backends.begin(), simulated.backends.begin() + static_cast<std::ptrdiff_t>(count));
  Table table(std::move(head));
  for (const auto& one : simulated.strategies) {
    Table::Row row = {{one.id}};
    for (std::size_t i = 0; i < count; ++i) row.push_back(number(shareText(one.shares.at(i))));
    table.add(std::move(row));
  }
  const auto left_out = simulated.backends.size() - count;
  return table.text(colours) +
         (left_out == 0 ? "" : "and " + std::to_string(left_out) + " more backends; --json has them\n");
}

Poco::Dynamic::Var millisOrNull(double ms) { return std::isfinite(ms) ? Poco::Dynamic::Var(ms) : Poco::Dynamic::Var(); }

Poco::JSON::Object strategyObject(const Simulated& simulated, const SimulatedStrategy& one) {
  Poco::JSON::Object object(Poco::JSON_PRESERVE_KEY_ORDER);
  object.set("id", one.id);
  object.set("p50_ms", millisOrNull(one.p50_ms));
  object.set("p99_ms", millisOrNull(one.p99_ms));
  object.set("p999_ms", millisOrNull(one.p999_ms));
  object.set("requests", static_cast<Poco::UInt64>(one.requests));
  object.set("errors", static_cast<Poco::UInt64>(one.errors));
  object.set("invalid_picks", static_cast<Poco::UInt64>(one.invalid_picks));
  Poco::JSON::Object shares(Poco::JSON_PRESERVE_KEY_ORDER);
  for (std::size_t i = 0; i < simulated.backends.size(); ++i) shares.set(simulated.backends[i], one.shares.at(i));
  object.set("shares", shares);
  return object;
}

}  // namespace

std::string showSimulated(const Simulated& simulated, bool colours) {
  std::ostringstream head;
  head << simulated.seconds << " s, " << simulated.rate << " requests a second, " << simulated.backends.size()
       << " backends, seed " << simulated.seed;
  if (simulated.runs > 1) head << " and the " << simulated.runs - 1 << " after it";
  return painted(harmless(simulated.title), Colour::kBold, colours) + "\n" + head.str() + "\n\n" +
         timesTable(simulated, colours) + "\n" + sharesTable(simulated, colours);
}

std::string simulatedJson(const Simulated& simulated) {
  Poco::JSON::Object object(Poco::JSON_PRESERVE_KEY_ORDER);
  object.set("title", simulated.title);
  object.set("seconds", simulated.seconds);
  object.set("rate", simulated.rate);
  object.set("seed", static_cast<Poco::UInt64>(simulated.seed));
  object.set("runs", static_cast<Poco::UInt64>(simulated.runs));
  Poco::JSON::Array strategies;
  for (const auto& one : simulated.strategies) strategies.add(strategyObject(simulated, one));
  object.set("strategies", strategies);
  std::ostringstream text;
  object.stringify(text, 2);
  text << "\n";
  return std::move(text).str();
}

}  // namespace lemonade::cli
