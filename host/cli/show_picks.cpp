// SPDX-License-Identifier: MIT
#include "cli/show_picks.h"

#include "cli/style.h"

#include <algorithm>
#include <string>

namespace lemonade::cli {

namespace {

Table::Cell meanOf(const Document& of) {
  const double mean = numberIn(of, "mean_ms");
  return number(mean > 0 ? millisText(mean) : "-");
}

Table::Cell shareOf(double part, double whole) { return number(whole > 0 ? shareText(part / whole) : "-"); }

std::string backendsText(const Document& shadow, bool colours) {
  Table table({"BACKEND", "ADDRESS", "PICKS", "SHARE", "SHADOW", "SHARE", "MEAN"});
  const auto backends = listIn(shadow, "backends");
  double by_strategy = 0, by_shadow = 0;
  for (const auto& backend : backends) {
    by_strategy += numberIn(backend, "strategy_picks");
    by_shadow += numberIn(backend, "shadow_picks");
  }
  for (const auto& backend : backends) {
    const double picks = numberIn(backend, "strategy_picks"), shadows = numberIn(backend, "shadow_picks");
    table.add({{textIn(shadow, "pool") + "/" + textIn(backend, "id")},
               {textIn(backend, "address")},
               number(countText(picks)),
               shareOf(picks, by_strategy),
               number(countText(shadows)),
               shareOf(shadows, by_shadow),
               meanOf(backend)});
  }
  return table.text(colours);
}

/// Which it was, and why it could not be.
std::string markOf(const Document& backend) {
  if (truthIn(backend, "picked")) return "*";
  if (truthIn(backend, "tried")) return "tried";
  return truthIn(backend, "eligible") ? "" : "out";
}

Table::Cell millisOf(const Document& backend, const char* name) {
  const double millis = numberIn(backend, name);
  return number(millis > 0 ? millisText(millis) : "-");
}

std::string pickText(const Document& pick, bool colours) {
  const auto backend = objectIn(pick, "backend");
  const auto reason = textIn(pick, "reason");
  std::string text = painted(timeText(textIn(pick, "time")), Colour::kFaint, colours) + "  " + textIn(pick, "client") +
                     " -> " + (backend.isNull() ? textIn(pick, "answer") : textIn(backend, "id")) +
                     (numberIn(pick, "attempt") > 0 ? ", attempt " + countText(numberIn(pick, "attempt") + 1) : "") +
                     ": " + (reason.empty() ? "the strategy does not say why" : reason) + "\n";
  Table table(
      {"", "BACKEND", "ADDRESS", "WEIGHT", "ACTIVE", "WAITING", "QUIET", "ANSWERS", "CONNECTS", "WAIT", "ERRORS"});
  for (const auto& one : listIn(pick, "backends"))
    table.add({{markOf(one), truthIn(one, "picked") ? Colour::kGood : Colour::kFaint},
               {textIn(one, "id")},
               {textIn(one, "address")},
               number(textIn(one, "effective_weight")),
               number(countText(numberIn(one, "active"))),
               number(countText(numberIn(one, "waiting"))),
               number(countText(numberIn(one, "quiet"))),
               millisOf(one, "exchange_ms"),
               millisOf(one, "connect_ms"),
               millisOf(one, "mean_wait_ms"),
               number(shareText(numberIn(one, "error_share")))});
  text += table.text(colours);
  if (const double left = numberIn(pick, "backends_left_out"); left > 0) text += "and " + countText(left) + " more\n";
  return text;
}

}  // namespace

std::string showWhy(const Document& document, std::size_t count, bool colours) {
  const auto picks = listIn(document, "picks");
  if (picks.empty()) return "no client came to pool " + textIn(document, "pool") + " meanwhile\n";
  std::string text;
  for (std::size_t i = picks.size() - std::min(count, picks.size()); i < picks.size(); ++i)
    text += (text.empty() ? "" : "\n") + pickText(picks[i], colours);
  return text;
}

std::string showShadows(const Document& document, bool with_backends, bool colours) {
  const auto shadows = listIn(document, "shadows");
  if (shadows.empty()) return "no pool has a shadow: set shadow = \"STRATEGY\" in its table\n";
  Table table({"POOL", "STRATEGY", "MEAN", "SHADOW", "WOULD BE", "PICKS", "DIFFERED", "SINCE"});
  std::string backends;
  for (const auto& shadow : shadows) {
    const auto strategy = objectIn(shadow, "strategy"), other = objectIn(shadow, "shadow");
    table.add({{textIn(shadow, "pool")},
               {textIn(strategy, "plugin")},
               meanOf(strategy),
               {textIn(other, "plugin")},
               meanOf(other),
               number(countText(numberIn(shadow, "picks"))),
               number(numberIn(shadow, "picks") > 0 ? shareText(numberIn(shadow, "differed_share")) : "-"),
               {timeText(textIn(shadow, "since"))}});
    if (with_backends) backends += "\n" + backendsText(shadow, colours);
  }
  return table.text(colours) + backends;
}

}  // namespace lemonade::cli
