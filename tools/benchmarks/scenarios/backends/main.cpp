// SPDX-License-Identifier: MIT
//
// The backends of the scenarios: one process, a port for each. Prints the ports on one line, follows the timetable, and
// ends when its standard input does, so that it never outlives the one who started it.
#include "scenarios/backends/backend.h"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>

namespace {

using namespace lemonade::bench;

constexpr std::uint64_t kStandardInput = kNever;  // an event id that no backend uses

void run(std::size_t count, std::uint64_t start, const std::vector<Entry>& timetable) {
  EventLoop loop;
  std::vector<std::unique_ptr<Backend>> backends;
  for (std::size_t i = 0; i < count; ++i) backends.push_back(std::make_unique<Backend>(loop, i, count));
  for (const auto& backend : backends) std::printf("%d ", backend->port());
  std::puts("");
  std::fflush(stdout);
  loop.add(0, kStandardInput, EPOLLIN);

  auto entry = timetable.begin();
  const auto entryTime = [&] {
    return entry == timetable.end() ? kNever : start + static_cast<std::uint64_t>(entry->at * kSecond);
  };
  for (;;) {
    std::uint64_t until = entryTime();
    for (const auto& backend : backends) until = std::min(until, backend->nextTime());
    const auto events = loop.wait(until);
    const std::uint64_t now = lemonade::nowNs();
    for (; entryTime() <= now; ++entry) backends[entry->backend]->behave(entry->action, entry->factor);
    for (const auto& backend : backends) backend->onTime(now);
    for (const auto& event : events) {
      if (event.data.u64 == kStandardInput) return;
      backends[event.data.u64 % count]->onEvent(event.data.u64);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Backends with a queue and a service rate that misbehave by a timetable. Ends with its standard input.");
  std::size_t count = 8;
  std::uint64_t start = 0;
  std::vector<std::string> entries;
  app.add_option("--count", count, "how many")->check(CLI::Range(1, 1000));
  app.add_option("--start", start, "when the timetable begins, nanoseconds of the monotonic clock")->required();
  app.add_option("--at", entries, "'SECONDS BACKEND slow FACTOR|hang|reset|down|up'; may be repeated")
      ->allow_extra_args(false);
  CLI11_PARSE(app, argc, argv);
  try {
    run(count, start, readTimetable(entries, count));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
  return 0;
}
