// SPDX-License-Identifier: MIT
#include "cli/top.h"

#include "cli/asking.h"
#include "cli/exit_codes.h"
#include "cli/show.h"
#include "cli/style.h"
#include "cli/terminal.h"
#include "cli/trouble.h"

#include <algorithm>
#include <array>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace lemonade::cli {

namespace {

using namespace std::chrono_literals;

constexpr std::array kOrders = {"name", "requests", "errors", "P95", "active"};
constexpr std::size_t kPlainWidth = 120;
constexpr std::size_t kLeastTrend = 8;
constexpr std::size_t kMostTrend = 60;

double exchangesOf(const Document& backend) { return numberIn(objectIn(backend, "totals"), "exchanges"); }

Table::Cell timeCell(const Document& one, const char* which) {
  const auto times = objectIn(one, "exchange_ms");
  return number(numberIn(times, "samples") > 0 ? millisText(numberIn(times, which)) : "-");
}

Table::Cell rateCell(double rate) { return number(countText(rate)); }

Table::Cell errorCell(double rate) {
  return number(rate == 0 ? "0" : countText(rate), rate == 0  ? Colour::kNone
                                                   : rate < 1 ? Colour::kWarning
                                                              : Colour::kBad);
}

/// The widest line of a text.
std::size_t widest(const std::string& text) {
  std::size_t most = 0;
  for (std::size_t from = 0; from < text.size();) {
    const auto end = std::min(text.find('\n', from), text.size());
    most = std::max(most, widthOf(std::string_view(text).substr(from, end - from)));
    from = end + 1;
  }
  return most;
}

/// A table whose last column shows trends in the room that its rows leave.
std::string withTrends(std::vector<std::string> head, std::vector<Table::Row> rows,
                       const std::vector<std::vector<double>>& trends, std::size_t width, bool colours) {
  Table bare(head);
  for (const auto& row : rows) bare.add(row);
  const auto taken = widest(bare.text(false)) + 2;
  if (taken + kLeastTrend > width) return bare.text(colours);
  const auto room = std::min(width - taken, kMostTrend);
  head.emplace_back("TREND");
  Table table(std::move(head));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].push_back({sparkline(trends[i], room), Colour::kFaint});
    table.add(std::move(rows[i]));
  }
  return table.text(colours);
}

double now() { return static_cast<double>(nowNs()) / 1e9; }

}  // namespace

void Top::look(const Document& status, double seconds) {
  status_ = status;
  std::map<std::string, double> exchanges;
  for (const auto& backend : listIn(status, "backends")) {
    trends_.add(backendNameOf(backend), exchangesOf(backend), seconds);
    exchanges[textIn(backend, "pool")] += exchangesOf(backend);
  }
  for (const auto& [pool, total] : exchanges) trends_.add(pool, total, seconds);
}

std::string Top::head(Order order, bool colours) const {
  double sessions = 0;
  for (const auto& listener : listIn(status_, "listeners")) sessions += numberIn(listener, "sessions");
  const auto state = textIn(status_, "state");
  return "lemonade " + textIn(status_, "version") + "  " + painted(state, colourOf(state), colours) + "  up " +
         spanText(numberIn(status_, "uptime_seconds")) + "  " + countText(sessions) + " of " +
         textIn(status_, "max_connections") + " sessions  " +
         painted(std::string("by ") + kOrders[static_cast<std::size_t>(order)] + "; s sorts otherwise, q ends",
                 Colour::kFaint, colours) +
         "\n" + troubleText(status_, colours) + refusedReload(colours);
}

/// A line where the configuration that runs is not the one of the file.
std::string Top::refusedReload(bool colours) const {
  const auto reload = objectIn(status_, "last_reload");
  if (reload.isNull() || textIn(reload, "result") != "failed") return "";
  const auto lines = textsIn(reload, "lines");
  const auto isReason = [](const std::string& line) { return line.find(": warning: ") == std::string::npos; };
  const auto reason = std::ranges::find_if(lines, isReason);
  const std::string why = reason != lines.end() ? *reason : lines.empty() ? "" : lines.front();
  return painted("the last reload was refused: " + why, Colour::kBad, colours) + "\n";
}

std::string Top::pools(std::size_t width, bool colours) const {
  std::vector<Table::Row> rows;
  std::vector<std::vector<double>> trends;
  for (const auto& pool : listIn(status_, "pools")) {
    const auto name = textIn(pool, "name");
    const bool ready = truthIn(pool, "ready");
    rows.push_back({{name},
                    {ready ? "ready" : "down", ready ? Colour::kGood : Colour::kBad},
                    number(textIn(pool, "eligible") + "/" + textIn(pool, "backends")),
                    number(countText(numberIn(pool, "sessions"))),
                    number(countText(numberIn(pool, "queued"))),
                    rateCell(numberIn(pool, "exchange_rate")),
                    errorCell(numberIn(pool, "error_rate")),
                    timeCell(pool, "p50"),
                    timeCell(pool, "p95"),
                    timeCell(pool, "p99")});
    trends.push_back(trends_.rates(name));
  }
  return withTrends({"POOL", "STATE", "UP", "ACTIVE", "QUEUE", "REQ/S", "ERR/S", "P50", "P95", "P99"}, std::move(rows),
                    trends, width, colours);
}

std::string Top::backends(Order order, std::size_t width, bool colours) const {
  auto all = listIn(status_, "backends");
  const std::map<Order, std::function<double(const Document&)>> keys{
      {Order::kRate, [](const auto& one) { return numberIn(one, "exchange_rate"); }},
      {Order::kErrors, [](const auto& one) { return numberIn(one, "error_rate"); }},
      {Order::kTime, [](const auto& one) { return numberIn(objectIn(one, "exchange_ms"), "p95"); }},
      {Order::kActive, [](const auto& one) { return numberIn(one, "active"); }},
  };
  if (const auto key = keys.find(order); key != keys.end())
    std::ranges::stable_sort(all, std::greater<>(), key->second);
  std::vector<Table::Row> rows;
  std::vector<std::vector<double>> trends;
  for (const auto& backend : all) {
    const auto name = backendNameOf(backend);
    rows.push_back({{name},
                    stateCell(backend),
                    number(textIn(backend, "weight")),
                    number(countText(numberIn(backend, "active"))),
                    number(countText(numberIn(backend, "waiting"))),
                    rateCell(numberIn(backend, "exchange_rate")),
                    errorCell(numberIn(backend, "error_rate")),
                    timeCell(backend, "p50"),
                    timeCell(backend, "p95"),
                    timeCell(backend, "p99")});
    trends.push_back(trends_.rates(name));
  }
  return withTrends({"BACKEND", "STATE", "WEIGHT", "ACTIVE", "WAITING", "REQ/S", "ERR/S", "P50", "P95", "P99"},
                    std::move(rows), trends, width, colours);
}

std::string Top::text(Order order, std::size_t width, bool colours) const {
  return head(order, colours) + "\n" + pools(width, colours) + "\n" + backends(order, width, colours);
}

namespace {

/// Looks once; an exit code where nobody answers, or refuses.
std::optional<int> lookOnce(Client& client, Top& top, const Options& options) {
  std::optional<int> failed;
  const int code = askedFor(client, options, kStatus, [&](const Document& status) {
    top.look(status, now());
    return kDone;
  });
  if (code != kDone) failed = code;
  return failed;
}

int onTerminal(Client& client, const Options& options, Duration interval) {
  Top top;
  if (const auto failed = lookOnce(client, top, options)) return *failed;
  auto order = Order::kName;
  std::string trouble;
  Terminal terminal;
  for (double due = now(); !Terminal::interrupted();) {
    if (now() >= due) {
      const auto reply = client.get(kStatus);
      const auto status = reply ? parseDocument(reply.value().body) : Result<Document>(reply.error());
      trouble = status ? "" : painted(status.error().message, Colour::kBad, true) + "\n";
      if (status) top.look(status.value(), now());
      due = now() + std::chrono::duration<double>(interval).count();
    }
    terminal.draw(trouble + top.text(order, terminal.columns(), wantsColour()));
    const auto left = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::max(due - now(), 0.0)));
    const char key = terminal.key(left + 1ms).value_or('\0');
    if (key == 'q' || key == 'Q') break;
    if (key == 's') order = static_cast<Order>((static_cast<std::size_t>(order) + 1) % kOrders.size());
    if (key == 'S') order = static_cast<Order>((static_cast<std::size_t>(order) + kOrders.size() - 1) % kOrders.size());
  }
  return kDone;
}

int plainly(Client& client, const Options& options, Duration interval, unsigned count) {
  Top top;
  for (unsigned i = 0; count == 0 || i < count; ++i) {
    if (i != 0) std::this_thread::sleep_for(interval);
    if (const auto failed = lookOnce(client, top, options)) return *failed;
    if (!options.json) std::cout << (i == 0 ? "" : "\n") << top.text(Order::kName, kPlainWidth, false) << std::flush;
  }
  return kDone;
}

}  // namespace

int runTop(const Options& options, Duration interval, unsigned count) {
  return withBalancer(options, [&](Client& client) {
    return Terminal::isThere() && !options.json && count == 0 ? onTerminal(client, options, interval)
                                                              : plainly(client, options, interval, count);
  });
}

}  // namespace lemonade::cli
