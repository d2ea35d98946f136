// SPDX-License-Identifier: MIT
//
// Scripted check, for protocols that ask and answer: sends texts and waits for others, step by step (script.h). What it
// finds never depends on how the bytes were split on their way.
#include "script.h"

#include <lemonade/sdk/health_checker.hpp>
#include <lemonade/sdk/printable.hpp>

#include <algorithm>

namespace sdk = lemonade::sdk;

namespace {

constexpr std::size_t kMaxUnmatched = 64 * 1024;
constexpr std::size_t kShown = 60;

/// A text in what was received.
struct Match {
  std::size_t begin = 0;
  std::size_t end = std::string_view::npos;
};

/// The text that is complete first, where the bytes before `searched` are known to hold none; end is npos where none
/// is.
Match firstOf(const std::vector<std::string>& texts, std::string_view bytes, std::size_t searched) {
  Match first;
  for (const auto& text : texts) {
    const auto at = bytes.find(text, searched - std::min(searched, text.size() - 1));
    if (at != std::string_view::npos && at + text.size() < first.end) first = {at, at + text.size()};
  }
  return first;
}

class SendExpect : public sdk::HealthChecker {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      sdk::required(sdk::option(
          "script", LEMONADE_OPTION_STRING, "",
          "One step a line: send \"text\", expect \"text\" (or several: \"a\" or \"b\"), expect_not \"text\".")),
  };

  explicit SendExpect(const sdk::Options& options) : script_(Script::parse(options.text("script"))) {}

  class Probe {
   public:
    Probe(const SendExpect& checker, const lemonade_probe_target_t&) : steps_(checker.script_.steps()) {}

    sdk::Verdict on(const lemonade_probe_event_t& event) {
      switch (event.type) {
        case LEMONADE_PROBE_CONNECTED:
          connected_ = true;
          sending_ = step().send;
          return sending_.empty() ? sdk::wait() : sdk::send(sending_);
        case LEMONADE_PROBE_DATA:
          return take(sdk::view(event.data));
        case LEMONADE_PROBE_EOF:
          return fail("closed before " + wanted() + " came" + heard());
        case LEMONADE_PROBE_TIMEOUT:
          return connected_ ? fail("timed out waiting for " + wanted() + heard()) : sdk::fail(event);
        default:
          return sdk::fail(event);
      }
    }

   private:
    const Script::Step& step() const { return steps_[at_]; }

    sdk::Verdict take(std::string_view bytes) {
      unmatched_ += bytes;
      sending_.clear();
      while (true) {
        const auto found = firstOf(step().wanted, unmatched_, searched_);
        const auto refused = firstOf(step().refused, unmatched_, searched_);
        if (refused.end != std::string::npos && refused.end <= found.end)
          return fail("received " + sdk::quoted(std::string_view(unmatched_).substr(refused.begin), kShown) + ", not " +
                      wanted());
        searched_ = found.end == std::string::npos ? unmatched_.size() : 0;
        if (found.end == std::string::npos) break;
        unmatched_.erase(0, found.end);
        if (++at_ == steps_.size()) return sdk::pass();
        sending_ += step().send;
      }
      if (unmatched_.size() > kMaxUnmatched) return fail("no " + wanted() + " in 64 KiB" + heard());
      return sending_.empty() ? sdk::wait() : sdk::send(sending_);
    }

    std::string wanted() const {
      std::string text;
      for (const auto& one : step().wanted) text += (text.empty() ? "" : " or ") + sdk::quoted(one);
      return text + " (line " + std::to_string(step().line) + ")";
    }
    std::string heard() const {
      return unmatched_.empty() ? std::string() : "; received " + sdk::quoted(unmatched_, kShown);
    }
    sdk::Verdict fail(std::string reason) {
      reason_ = std::move(reason);
      return sdk::fail(reason_);
    }

    const std::vector<Script::Step>& steps_;
    std::size_t at_ = 0;
    bool connected_ = false;
    std::string unmatched_;     // received since the last match
    std::size_t searched_ = 0;  // of that, how much holds no text of this step
    std::string sending_;       // what the last verdict sends
    std::string reason_;
  };

 private:
  const Script script_;
};

}  // namespace

LEMONADE_HEALTH_CHECKER(SendExpect, .id = "send_expect", .version = "1.0.0", .name = "Send and expect",
                        .vendor = "Lemonade",
                        .doc = "Follows a script of what to send and what to expect, for any protocol.",
                        .flags = LEMONADE_FLAG_UNLOAD_SAFE)
