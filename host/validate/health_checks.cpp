// SPDX-License-Identifier: MIT
//
// A health checker as a machine: bytes in pieces, nonsense, and an end at any moment.
#include "validate/allocations.h"
#include "validate/probe_run.h"
#include "validate/strategy_run.h"

#include <cerrno>

namespace lemonade::validate {

namespace {

using Checker = Live<lemonade_health_checker_t>;

/// What backends of well-known protocols answer.
const std::vector<std::string> kAnswers = {
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    "HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n", "+PONG\r\n",
    "220 mail.example ESMTP\r\n250 OK\r\n", "OK\n"};

Outcome ends(const Subject& subject) {
  const Code code(subject);
  const Checker checker(subject, code);
  for (int last = 0; last < 5; ++last) {
    ProbeRun probe(checker);
    if (last != 1) probe.connected();
    if (last == 0) probe.eof();
    if (last == 1 || last == 2) probe.error(ECONNREFUSED);
    if (last == 3) probe.timeout();
    if (last == 4) {
      probe.data(kAnswers[0]);
      probe.eof();
    }
  }
  return pass();
}

/// The verdict must not hang on how the network cuts the bytes.
Outcome splits(const Subject& subject) {
  const Code code(subject);
  const Checker checker(subject, code);
  for (const auto& answer : kAnswers) {
    std::uint32_t whole = 0;
    for (std::size_t cut = 0; cut <= answer.size(); ++cut) {
      ProbeRun probe(checker);
      probe.connected();
      probe.data(answer.substr(0, cut));
      if (cut > 0 && cut < answer.size()) probe.data(answer.substr(cut));
      if (cut == 0) probe.data(answer);
      probe.eof();
      if (cut == 0) whole = probe.what();
      require(probe.what() == whole, "cut after " + std::to_string(cut) + " bytes, an answer comes to verdict " +
                                         std::to_string(probe.what()) + "; whole, to " + std::to_string(whole));
    }
    ProbeRun bytewise(checker);
    bytewise.connected();
    for (const char byte : answer) bytewise.data(std::string_view(&byte, 1));
    bytewise.eof();
    require(bytewise.what() == whole, "byte by byte, an answer comes to another verdict");
  }
  return pass();
}

Outcome garbage(const Subject& subject) {
  const Code code(subject);
  const Checker checker(subject, code);
  for (std::uint32_t round = 0; round < subject.times(300); ++round) {
    ProbeRun probe(checker);
    probe.connected();
    auto text = kAnswers[round % kAnswers.size()];
    for (std::uint32_t i = 0; i < 1 + round % 8; ++i) {
      const auto random = scrambled(subject.seed, round * 8 + i);
      if (round % 3 == 0)
        text.append(random % 4'000, static_cast<char>(random >> 32));
      else
        text[random % text.size()] = static_cast<char>(random >> 32);
    }
    probe.data(text);
    probe.data(std::string(20'000, 'a'));  // a backend that does not stop talking
    probe.eof();
  }
  return pass();
}

/// Ended at any moment, and ended for good.
Outcome cancels(const Subject& subject) {
  const Code code(subject);
  const Checker checker(subject, code);
  const auto all = [&] {
    for (const auto& answer : kAnswers)
      for (std::size_t cut = 0; cut <= answer.size(); ++cut) {
        ProbeRun probe(checker);
        if (cut > 0) probe.connected();
        probe.data(answer.substr(0, cut));
      }
  };
  all();  // what is set up once
  const auto before = blocksInUse();
  all();
  require(!kCountsAllocations || blocksInUse() - before < 5, "probes that are cancelled leave memory behind");
  return pass();
}

Outcome together(const Subject& subject) {
  const Code code(subject);
  const Checker checker(subject, code);
  std::vector<std::unique_ptr<ProbeRun>> probes;
  for (int i = 0; i < 200; ++i) probes.push_back(std::make_unique<ProbeRun>(checker));
  for (auto& probe : probes) probe->connected();
  for (auto& probe : probes) probe->data(kAnswers[0]);
  for (std::size_t i = 0; i < probes.size(); i += 2) probes[i].reset();
  for (auto& probe : probes)
    if (probe != nullptr) probe->eof();
  return pass();
}

constexpr std::uint32_t kOnly = LEMONADE_KIND_HEALTH_CHECKER;
constexpr const char* kBytes = "gather bytes until they are whole; take none of them for granted";

constexpr Check kChecks[] = {
    {"health.verdicts", "gives verdicts that there are",
     "set verdict->what, and point send and reason at text that stays", ends, "process.create", kOnly, false, true},
    {"health.splits", "comes to the same verdict however bytes are cut", kBytes, splits, "health.verdicts", kOnly},
    {"health.garbage", "bears any bytes", kBytes, garbage, "health.verdicts", kOnly},
    {"health.cancel", "can be ended at any moment", "release in probe_end what probe_begin made", cancels,
     "health.verdicts", kOnly},
    {"health.together", "probes many backends at once", "keep the state of a probe in the probe", together,
     "health.verdicts", kOnly},
};

}  // namespace

std::span<const Check> healthChecks() { return kChecks; }

}  // namespace lemonade::validate
