// SPDX-License-Identifier: MIT
//
// A health check step by step: what was sent, what came, what the checker made of it. Collected, and written for people
// or as JSON. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lemonade::cli {

struct Step {
  std::uint64_t at_ns = 0;  ///< since the check began
  std::string what;         ///< "connected", "sent", "received", "closed", "error", "timeout", "verdict"
  std::string text = {};    ///< bytes as they were, or words
};

/// One check of one address.
struct Dialogue {
  std::string pool;
  std::string backend;
  std::string address;
  std::string checker;
  std::vector<Step> steps = {};
  std::string outcome = {};  ///< "passed", "degraded", "failed", "broken", "skipped"
  std::string reason = {};   ///< "" where it passed
  std::uint64_t took_ns = 0;

  bool passed() const noexcept { return outcome == "passed" || outcome == "degraded"; }
};

std::string showDialogue(const Dialogue& dialogue, bool colours);
/// {"checks": [...]}
std::string dialoguesJson(const std::vector<Dialogue>& dialogues);

}  // namespace lemonade::cli
