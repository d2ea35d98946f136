// SPDX-License-Identifier: MIT
#include "cli/show.h"

#include "cli/forwarding.h"
#include "cli/trouble.h"

#include <algorithm>
#include <utility>

namespace lemonade::cli {

namespace {

std::string joined(const std::vector<std::string>& texts, const char* between) {
  std::string text;
  for (const auto& one : texts) text += (text.empty() ? "" : between) + one;
  return text;
}

Table::Cell percentile(const Document& backend, const char* of, const char* which) {
  const auto times = objectIn(backend, of);
  return number(numberIn(times, "samples") > 0 ? millisText(numberIn(times, which)) : "-");
}

Table::Cell share(const Document& one) {
  if (!hasIn(one, "error_share")) return number("-");
  const double errors = numberIn(one, "error_share");
  return number(shareText(errors), truthIn(one, "fails") ? Colour::kBad
                                   : errors > 0          ? Colour::kWarning
                                                         : Colour::kNone);
}

/// What an operator has changed: "weight 5 until 2026-11-29 00:20:00".
std::string overridesOf(const Document& backend) {
  std::vector<std::string> all;
  for (const auto& one : listIn(backend, "overrides")) {
    std::string text = textIn(one, "action");
    if (const auto value = textIn(one, "value"); !value.empty()) text += " " + value;
    const auto until = textIn(one, "until");
    all.push_back(text + (until == "reload" ? " until a reload" : " until " + timeText(until)));
  }
  return joined(all, ", ");
}

/// Why it is as it is, how slow it is where that is known, and what an operator has changed.
std::string noteOf(const Document& backend) {
  std::vector<std::string> notes;
  if (auto reason = textIn(backend, "reason"); !reason.empty()) notes.push_back(std::move(reason));
  if (const auto slow = objectIn(backend, "slow"))
    notes.push_back("takes " + countText(numberIn(slow, "times")) + " times as long as the others");
  if (auto changed = overridesOf(backend); !changed.empty()) notes.push_back(std::move(changed));
  return joined(notes, "; ");
}

std::string poolsText(const Document& status, bool colours) {
  Table table(
      {"POOL", "STATE", "STRATEGY", "CHECKER", "UP", "SESSIONS", "QUEUE", "REQ/S", "ERRORS", "P50", "P95", "P99"});
  for (const auto& pool : listIn(status, "pools")) {
    const bool ready = truthIn(pool, "ready");
    table.add({{textIn(pool, "name")},
               {ready ? "ready" : "down", ready ? Colour::kGood : Colour::kBad},
               {textIn(pool, "strategy")},
               {textIn(pool, "checker")},
               number(textIn(pool, "eligible") + "/" + textIn(pool, "backends")),
               number(countText(numberIn(pool, "sessions"))),
               number(countText(numberIn(pool, "queued"))),
               number(countText(numberIn(pool, "exchange_rate"))),
               share(pool),
               percentile(pool, "exchange_ms", "p50"),
               percentile(pool, "exchange_ms", "p95"),
               percentile(pool, "exchange_ms", "p99")});
  }
  return table.text(colours);
}

/// "kernel, keep".
std::string forwardOf(const Document& listener) {
  const auto source = textIn(listener, "source");
  return textIn(listener, "forward") + (source.empty() ? "" : ", " + source);
}

std::string listenersText(const Document& status, bool colours) {
  const auto listeners = listIn(status, "listeners");
  // Where relays are all there is, nobody asks who forwards.
  const bool by_kernel = std::any_of(listeners.begin(), listeners.end(),
                                     [](const auto& one) { return textIn(one, "forward") == "kernel"; });
  std::vector<std::string> head{"LISTENER", "ADDRESS", "POOL", "SESSIONS", "LIMIT", "ACCEPTED"};
  if (by_kernel) head.push_back("FORWARD");
  Table table(std::move(head));
  for (const auto& listener : listeners) {
    Table::Row row{{textIn(listener, "name")},
                   {joined(textsIn(listener, "addresses"), ", ")},
                   {textIn(listener, "pool")},
                   number(countText(numberIn(listener, "sessions"))),
                   number(textIn(listener, "max_connections")),
                   number(countText(numberIn(listener, "accepted")))};
    if (by_kernel) row.push_back({forwardOf(listener)});
    table.add(std::move(row));
  }
  return table.text(colours);
}

std::string reloadText(const Document& reload, bool colours) {
  if (reload.isNull()) return "";
  const auto result = textIn(reload, "result");
  std::string text = "last reload " + timeText(textIn(reload, "time")) + " (" + textIn(reload, "reason") +
                     "): " + painted(result, result == "failed" ? Colour::kBad : Colour::kGood, colours) + "\n";
  for (const auto& line : textsIn(reload, "lines")) text += "  " + line + "\n";
  return text;
}

Colour colourOfEvent(const std::string& kind) {
  for (const char* bad : {"_down", "_ejected", "_refused", "_failed", "_short", "_quarantined", "died"})
    if (kind.ends_with(bad)) return Colour::kBad;
  for (const char* good : {"_up", "_returned", "ready", "_applied", "_back", "_over"})
    if (kind.ends_with(good)) return Colour::kGood;
  return Colour::kWarning;
}

}  // namespace

Colour colourOf(const std::string& state) {
  if (state == "up" || state == "running" || state == "ready") return Colour::kGood;
  return state == "down" || state == "ejected" || state == "unresolved" ? Colour::kBad : Colour::kWarning;
}

std::string showStatus(const Document& status, bool colours) {
  const auto state = textIn(status, "state");
  std::string text = "lemonade " + textIn(status, "version") + ", process " + textIn(status, "pid") + ", " +
                     painted(state, colourOf(state), colours) + " for " + spanText(numberIn(status, "uptime_seconds")) +
                     "\n";
  const auto file = textIn(status, "config_file");
  text += "configuration " + (file.empty() ? "of the environment" : file) + ", generation " +
          textIn(status, "config_generation") + "\n";
  text += forwardingText(status, colours) + troubleText(status, colours) +
          reloadText(objectIn(status, "last_reload"), colours);
  return text + "\n" + listenersText(status, colours) + "\n" + poolsText(status, colours) + "\n" +
         showBackends(listIn(status, "backends"), colours);
}

std::string backendNameOf(const Document& backend) { return textIn(backend, "pool") + "/" + textIn(backend, "id"); }

Table::Cell stateCell(const Document& backend) {
  const auto state = textIn(backend, "state");
  if (state == "up" && truthIn(backend, "fails")) return {"up, fails", Colour::kBad};
  if (state == "up" && objectIn(backend, "slow")) return {"up, slow", Colour::kWarning};
  return {state, colourOf(state)};
}

std::string showBackends(const std::vector<Document>& backends, bool colours) {
  Table table({"BACKEND", "ADDRESS", "STATE", "WEIGHT", "ACTIVE", "REQ/S", "ERRORS", "P50", "P95", "P99", "NOTE"});
  for (const auto& backend : backends) {
    table.add({{backendNameOf(backend)},
               {textIn(backend, "address")},
               stateCell(backend),
               number(textIn(backend, "weight")),
               number(countText(numberIn(backend, "active"))),
               number(countText(numberIn(backend, "exchange_rate"))),
               share(backend),
               percentile(backend, "exchange_ms", "p50"),
               percentile(backend, "exchange_ms", "p95"),
               percentile(backend, "exchange_ms", "p99"),
               {noteOf(backend)}});
  }
  return table.text(colours);
}

std::string showPlugins(const Document& document, bool colours) {
  Table table({"KIND", "POOL", "PLUGIN", "VERSION", "GENERATION", "STATE", "FILE"});
  for (const auto& plugin : listIn(document, "plugins"))
    table.add({{textIn(plugin, "kind")},
               {textIn(plugin, "pool")},
               {textIn(plugin, "id")},
               {textIn(plugin, "version")},
               number(textIn(plugin, "generation")),
               {textIn(plugin, "state"), textIn(plugin, "state") == "running" ? Colour::kNone : Colour::kBad},
               {textIn(plugin, "file"), Colour::kFaint}});
  return table.text(colours) + quarantineText(document, colours);
}

std::string showEvent(const Document& event, bool colours) {
  const auto kind = textIn(event, "kind");
  std::string where = textIn(event, "pool");
  if (const auto backend = textIn(event, "backend"); !backend.empty()) where += "/" + backend;
  std::string text = painted(timeText(textIn(event, "time")), Colour::kFaint, colours) + "  " +
                     painted(kind, colourOfEvent(kind), colours) + "  " + (where.empty() ? "" : where + "  ") +
                     textIn(event, "text");
  const auto said = textIn(event, "text");
  const auto fields = objectIn(event, "fields");
  if (!fields.isNull())
    for (const auto& name : fields->getNames())
      if (const auto value = textIn(fields, name); !value.empty() && said.find(value) == std::string::npos)
        text += "  " + harmless(name) + "=" + value;
  return text + "\n";
}

std::string showChange(const Document& change) {
  std::string text = textIn(change, "text") + "\n";
  if (const auto persist = objectIn(change, "persist"); !persist.isNull())
    text +=
        "for it to last write into the file, at " + textIn(persist, "place") + ": " + textIn(persist, "line") + "\n";
  return text;
}

bool isWell(const Document& status) {
  if (textIn(status, "state") != "running") return false;
  for (const auto& pool : listIn(status, "pools"))
    if (!truthIn(pool, "ready")) return false;
  return true;
}

}  // namespace lemonade::cli
