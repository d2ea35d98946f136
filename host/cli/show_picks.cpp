// SPDX-License-Identifier: MIT
#include "cli/show_picks.h"

#include "cli/style.h"

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

}  // namespace

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
