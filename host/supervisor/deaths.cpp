// SPDX-License-Identifier: MIT
#include "supervisor/deaths.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

namespace lemonade::supervisor {

namespace {

std::string hexadecimal(std::uint64_t number) {
  std::array<char, 16> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

Quarantined blame(const PluginCall& call, std::string why) {
  return {call.id, call.version, call.hash, call.file, std::move(why)};
}

}  // namespace

std::string signalText(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return "signal " + std::to_string(signal) + (name != nullptr ? " (SIG" + std::string(name) + ")" : "");
}

std::string describe(const FatalFault& fault) {
  std::string text = fault.call ? fault.call->function : "the balancer";
  text += " faulted";
  if (fault.call && !fault.call->thread.empty()) text += " on " + fault.call->thread;
  text += " by " + signalText(fault.signal);
  if (fault.offset) text += " at +" + hexadecimal(*fault.offset);
  return fault.note.empty() ? text : text + ", " + fault.note;
}

Deaths::Verdict Deaths::note(std::uint64_t now_ns, const std::string& how, const LastMoments& moments) {
  while (!deaths_.empty() && now_ns - deaths_.front().at_ns >= kWindowNs) deaths_.pop_front();
  ++count_;
  last_ = how;
  Verdict verdict;
  Death death{now_ns, {}};
  if (moments.fault) {
    if (moments.fault->call) verdict.blamed.push_back(blame(*moments.fault->call, describe(*moments.fault)));
  } else {
    for (const auto& call : moments.running) {
      const auto& hash = call.hash;
      if (std::count(death.suspects.begin(), death.suspects.end(), hash) != 0) continue;  // several threads run it
      death.suspects.push_back(hash);
      const bool again = std::any_of(deaths_.begin(), deaths_.end(), [&hash](const Death& before) {
        return std::count(before.suspects.begin(), before.suspects.end(), hash) != 0;
      });
      if (again)
        verdict.blamed.push_back(blame(call, call.function + " was running when the balancer ended by " + how +
                                                 ", the second time within a minute"));
    }
  }
  deaths_.push_back(std::move(death));
  verdict.too_many = deaths_.size() >= kMost;
  return verdict;
}

}  // namespace lemonade::supervisor
