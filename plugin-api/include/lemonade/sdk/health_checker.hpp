// SPDX-License-Identifier: MIT
//
// C++ face of lemonade/health_checker.h. A checker is a class with a nested Probe, a machine for one check:
//
//   class Banner : public lemonade::sdk::HealthChecker {
//    public:
//     class Probe {
//      public:
//       Probe(const Banner&, const lemonade_probe_target_t&) {}
//       lemonade::sdk::Verdict on(const lemonade_probe_event_t& event) {
//         if (event.type == LEMONADE_PROBE_DATA) return lemonade::sdk::pass();
//         return event.type == LEMONADE_PROBE_CONNECTED ? lemonade::sdk::wait() : lemonade::sdk::fail(event);
//       }
//     };
//   };
//   LEMONADE_HEALTH_CHECKER(Banner, .id = "com.example.banner", .version = "1.0.0", .name = "Banner")
//
// What should be sent as soon as the connection is up is returned for CONNECTED. Text given to send() and fail() must
// outlive the call: keep it in the Probe.
#pragma once

#include <lemonade/health_checker.h>
#include <lemonade/sdk/plugin.hpp>

namespace lemonade::sdk {

/// Base of every health checker.
class HealthChecker {};

/// What a Probe answers an event with: what the host is to do next.
using Verdict = lemonade_probe_verdict_t;

/// what is LEMONADE_VERDICT_*; send goes with SEND, reason with FAIL and DEGRADED. [any]
constexpr Verdict verdict(std::uint32_t what, std::string_view send, std::string_view reason) noexcept {
  return {sizeof(Verdict), what, str(send), str(reason)};
}

/// Goes on waiting for the next event. [any]
constexpr Verdict wait() noexcept { return verdict(LEMONADE_VERDICT_WAIT, {}, {}); }
/// Sends data and waits for the next event; data must stay until then. [any]
constexpr Verdict send(std::string_view data) noexcept { return verdict(LEMONADE_VERDICT_SEND, data, {}); }
/// The check has passed; no further event comes. [any]
constexpr Verdict pass() noexcept { return verdict(LEMONADE_VERDICT_PASS, {}, {}); }
/// The check has failed. reason is for people and must outlive the call; empty means the host's own words. [any]
constexpr Verdict fail(std::string_view reason) noexcept { return verdict(LEMONADE_VERDICT_FAIL, {}, reason); }
/// The check has passed, and the backend is shown as degraded for that reason, which must outlive the call. [any]
constexpr Verdict degraded(std::string_view reason) noexcept { return verdict(LEMONADE_VERDICT_DEGRADED, {}, reason); }

/// Fails with the host's own words for an event that ended the connection: an empty reason means them. [any]
constexpr Verdict fail(const lemonade_probe_event_t&) noexcept { return fail(std::string_view{}); }

namespace detail {

template <class C>
struct HealthCheckerKind {
  using Probe = typename C::Probe;
  static constexpr std::uint32_t kKind = LEMONADE_KIND_HEALTH_CHECKER;
  static constexpr std::string_view kInterface = LEMONADE_HEALTH_CHECKER_INTERFACE;

  static lemonade_status_t probeBegin(void* self, const lemonade_probe_target_t* target, void** probe,
                                      lemonade_probe_verdict_t*) noexcept {
    lemonade_error_t ignored{};
    return guarded(&ignored, [&] { *probe = new Probe(*static_cast<const C*>(self), *target); });
  }
  static void probeEvent(void*, void* probe, const lemonade_probe_event_t* event,
                         lemonade_probe_verdict_t* verdict) noexcept {
    lemonade_error_t ignored{};
    const auto status = guarded(&ignored, [&] {
      const Verdict answer = static_cast<Probe*>(probe)->on(*event);
      // Field by field: an older host's verdict is smaller than one of a later ABI.
      verdict->what = answer.what;
      verdict->send = answer.send;
      verdict->reason = answer.reason;
    });
    if (status != LEMONADE_OK) {
      verdict->what = LEMONADE_VERDICT_FAIL;
      verdict->reason = LEMONADE_STR("the checker threw an exception");
    }
  }
  static void probeEnd(void*, void* probe) noexcept { delete static_cast<Probe*>(probe); }

  static constexpr lemonade_health_checker_t kTable = {
      sizeof(lemonade_health_checker_t), 0, create<C>, destroy<C>, probeBegin, probeEvent, probeEnd};
};

}  // namespace detail
}  // namespace lemonade::sdk

/// Makes a class the health checker of this shared object. The rest of the arguments initialise lemonade::sdk::Info.
#define LEMONADE_HEALTH_CHECKER(Class, ...) \
  LEMONADE_SDK_ENTRY(::lemonade::sdk::detail::HealthCheckerKind, Class, __VA_ARGS__)
