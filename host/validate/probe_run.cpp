// SPDX-License-Identifier: MIT
#include "validate/probe_run.h"

#include "base/clock.h"

#include <cstring>

namespace lemonade::validate {

ProbeRun::ProbeRun(const Live<lemonade_health_checker_t>& checker, std::size_t extra)
    : checker_(checker), extra_(extra) {
  Guarded<lemonade_probe_target_t> target(extra);
  target->id = target->name = str("web-1");
  target->address = str("192.0.2.1:8080");
  target->hostname = str("web.example");
  target->identity = 1;
  target->timeout_ns = 1'000'000'000;
  target->now_ns = nowNs();
  Guarded<lemonade_probe_verdict_t> verdict(extra);
  stage("beginning a probe");
  began_ = checker.table().probe_begin(checker.self(), target.get(), &probe_, verdict.get()) == LEMONADE_OK;
  if (began_) look(*verdict.get());
}

ProbeRun::~ProbeRun() {
  if (!began_) return;
  stage("ending a probe");
  checker_.table().probe_end(checker_.self(), probe_);
}

void ProbeRun::feed(std::uint32_t type, std::string_view bytes, int number) {
  if (!goesOn()) return;
  GuardedBytes data(bytes.size(), true);
  if (!bytes.empty()) std::memcpy(data.data(), bytes.data(), bytes.size());
  Guarded<lemonade_probe_event_t> event(extra_);
  event->type = type;
  event->elapsed_ns = 1'000'000;
  event->data = {reinterpret_cast<const char*>(data.data()), data.size()};
  event->error = number;
  Guarded<lemonade_probe_verdict_t> verdict(extra_);
  stage("probing");
  checker_.table().probe_event(checker_.self(), probe_, event.get(), verdict.get());
  look(*verdict.get());
}

void ProbeRun::look(const lemonade_probe_verdict_t& verdict) {
  what_ = verdict.what;
  require(what_ <= LEMONADE_VERDICT_DEGRADED, "it gives the verdict " + std::to_string(what_) + ", which there is not");
  if (what_ == LEMONADE_VERDICT_SEND) {
    require(verdict.send.size <= 64 << 10, "it wants to send " + std::to_string(verdict.send.size) + " bytes at once");
    require(verdict.send.data != nullptr || verdict.send.size == 0, "it wants to send from nowhere");
    for (const char byte : view(verdict.send)) sum_ = sum_ + static_cast<unsigned char>(byte);  // reads all of it
  }
  if (what_ == LEMONADE_VERDICT_FAIL || what_ == LEMONADE_VERDICT_DEGRADED) {
    require(verdict.reason.data != nullptr || verdict.reason.size == 0, "its reason is nowhere");
    require(verdict.reason.size < 4'096, "its reason is " + std::to_string(verdict.reason.size) + " bytes long");
    for (const char byte : view(verdict.reason)) sum_ = sum_ + static_cast<unsigned char>(byte);
  }
}

}  // namespace lemonade::validate
