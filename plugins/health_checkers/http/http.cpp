// SPDX-License-Identifier: MIT
//
// HTTP check: sends one request and judges the answer by its status and, where asked for, by a text in its body. It
// decides as early as it can: a wrong status ends the check at the head, a text that is found ends it at once.
#include "answer.h"
#include "request.h"
#include "statuses.h"

#include <lemonade/sdk/health_checker.hpp>
#include <lemonade/sdk/printable.hpp>

namespace sdk = lemonade::sdk;

namespace {

class Http : public sdk::HealthChecker {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("method", LEMONADE_OPTION_STRING, "GET", "The method of the request; it has no body."),
      sdk::option("path", LEMONADE_OPTION_STRING, "/", "What is asked for, with its query."),
      sdk::option("host", LEMONADE_OPTION_STRING, "",
                  "The Host header; \"\" means the backend's address as it is configured."),
      sdk::option("headers", LEMONADE_OPTION_STRING, "", "More headers, one \"Name: value\" a line."),
      sdk::option("status", LEMONADE_OPTION_STRING, "200-299",
                  "Status codes that count as alive: codes and ranges, separated by commas."),
      sdk::option("body", LEMONADE_OPTION_STRING, "",
                  "Text that the first 64 KiB of the body must hold; \"\" means any body will do."),
  };

  explicit Http(const sdk::Options& options) : request_(options), body_(options.text("body")) {
    auto statuses = Statuses::parse(options.text("status"));
    if (!statuses) throw sdk::OptionError("status", "give codes and ranges from 100 to 599, such as \"200-299,301\"");
    statuses_ = *std::move(statuses);
    if (!body_.empty() && request_.head()) throw sdk::OptionError("body", "the answer to a HEAD has no body: use GET");
    if (body_.size() > Answer::kMaxBody) throw sdk::OptionError("body", "give at most 64 KiB");
  }

  class Probe {
   public:
    Probe(const Http& checker, const lemonade_probe_target_t& target)
        : checker_(checker),
          request_(checker.request_.text(target)),
          answer_(checker.body_, !checker.request_.head()) {}

    sdk::Verdict on(const lemonade_probe_event_t& event) {
      switch (event.type) {
        case LEMONADE_PROBE_CONNECTED:
          return sdk::send(request_);
        case LEMONADE_PROBE_DATA:
          return judge(answer_.take(sdk::view(event.data)));
        case LEMONADE_PROBE_EOF:
          return judge(answer_.finish());
        default:
          return sdk::fail(event);
      }
    }

   private:
    /// What decides comes first: bytes behind it may be broken, and may or may not have come in the same piece.
    sdk::Verdict judge(Answer::Progress progress) {
      if (const auto status = answer_.status(); status != 0) {
        if (!checker_.statuses_.contain(status)) return fail(checker_.statusReason(status));
        if (checker_.body_.empty() || answer_.found()) return sdk::pass();
      }
      if (progress == Answer::Progress::kBroken) return sdk::fail(answer_.problem());
      return progress == Answer::Progress::kComplete ? fail(checker_.bodyReason()) : sdk::wait();
    }
    sdk::Verdict fail(std::string reason) {
      reason_ = std::move(reason);
      return sdk::fail(reason_);
    }

    const Http& checker_;
    const std::string request_;
    Answer answer_;
    std::string reason_;
  };

 private:
  std::string statusReason(unsigned status) const {
    return "status " + std::to_string(status) + ", expected " + statuses_.text();
  }
  std::string bodyReason() const { return "the body does not hold " + sdk::quoted(body_); }

  const Request request_;
  const std::string body_;
  Statuses statuses_;
};

}  // namespace

LEMONADE_HEALTH_CHECKER(Http, .id = "http", .version = "1.0.0", .name = "HTTP request", .vendor = "Lemonade",
                        .doc = "Sends an HTTP/1.1 request and passes when status and body are as expected.",
                        .flags = LEMONADE_FLAG_UNLOAD_SAFE)
