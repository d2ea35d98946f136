// SPDX-License-Identifier: MIT
//
// A health checker probes the first backends without a connection: it is fed good answers, garbage, ends and errors.
#include "base/clock.h"
#include "plugin/text.h"
#include "rehearsal/try_plugin.h"

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <string_view>

namespace lemonade {

namespace {

using plugin::str;

constexpr std::uint64_t kLargestSend = 64 << 10;
constexpr std::size_t kMostProbed = 3;

/// Feeds one probe until it ends or the script does. Error: the checker's answer makes no sense.
Status probeOnce(const plugin::CheckerInstance& checker, const Rehearsal::Backend& backend,
                 std::initializer_list<lemonade_probe_event_t> script) {
  lemonade_probe_target_t target{};
  target.struct_size = sizeof(target);
  target.id = str(backend.configured.id);
  target.name = str(backend.configured.name);
  target.address = str(backend.address);
  target.hostname = str(backend.configured.host);
  target.timeout_ns = 1'000'000'000;
  target.now_ns = nowNs();
  void* probe = nullptr;
  const auto fresh = [] {
    lemonade_probe_verdict_t verdict{};
    verdict.struct_size = sizeof(verdict);
    return verdict;
  };
  const auto sane = [](const lemonade_probe_verdict_t& verdict) {
    return verdict.what <= LEMONADE_VERDICT_DEGRADED &&
           (verdict.what != LEMONADE_VERDICT_SEND ||
            (verdict.send.size <= kLargestSend && (verdict.send.data != nullptr || verdict.send.size == 0)));
  };
  auto verdict = fresh();
  if (checker.table().probe_begin(checker.self(), &target, &probe, &verdict) != LEMONADE_OK) return success();
  bool good = sane(verdict);
  for (auto event : script) {
    if (!good || verdict.what > LEMONADE_VERDICT_SEND) break;
    event.struct_size = sizeof(event);
    verdict = fresh();
    checker.table().probe_event(checker.self(), probe, &event, &verdict);
    good = sane(verdict);
  }
  const std::string what = std::to_string(verdict.what);
  checker.table().probe_end(checker.self(), probe);
  return good ? success() : Error{"gave a verdict that cannot be used (what " + what + ")"};
}

}  // namespace

Status tryPlugin(plugin::CheckerInstance& checker, const RehearsalContext& context) {
  const auto& backends = context.rehearsal.backends;
  const auto event = [](std::uint32_t type, std::string_view data = {}, int error = 0) {
    return lemonade_probe_event_t{0, type, 1'000, str(data), error, 0};
  };
  const auto connected = event(LEMONADE_PROBE_CONNECTED);
  const auto answer = event(LEMONADE_PROBE_DATA, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const auto garbage = event(LEMONADE_PROBE_DATA, std::string_view("\0\xff\r\n\n garbage", 13));
  const auto end = event(LEMONADE_PROBE_EOF);
  const auto timeout = event(LEMONADE_PROBE_TIMEOUT);
  context.on_stage("probing");
  for (std::size_t i = 0; i < std::min(backends.size(), kMostProbed); ++i) {
    const auto& backend = backends[i];
    const Status outcomes[] = {
        probeOnce(checker, backend, {connected, answer, end}),
        probeOnce(checker, backend, {connected, garbage, garbage, end}),
        probeOnce(checker, backend, {connected, end}),
        probeOnce(checker, backend, {connected, timeout}),
        probeOnce(checker, backend, {timeout}),
        probeOnce(checker, backend, {event(LEMONADE_PROBE_ERROR, {}, ECONNREFUSED)}),
        probeOnce(checker, backend, {connected}),
        probeOnce(checker, backend, {}),
    };
    for (const auto& outcome : outcomes)
      if (!outcome) return outcome;
  }
  return success();
}

}  // namespace lemonade
