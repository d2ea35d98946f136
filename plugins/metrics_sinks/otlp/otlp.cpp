// SPDX-License-Identifier: MIT
//
// Pushes every snapshot to a receiver of OpenTelemetry by OTLP/HTTP in JSON. All numbers are cumulative, so a snapshot
// that does not arrive costs a point in time and no count: a request that failed is sent again while the time of its
// flush lasts, and after that the next snapshot takes its place.
#include "http_client.h"
#include "request.h"

#include <lemonade/sdk/metrics_sink.hpp>
#include <lemonade/sdk/printable.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace lemonade::otlp {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kFirstPause = std::chrono::milliseconds(250);
constexpr nanoseconds kLongestPause = std::chrono::seconds(5);

/// Runs `read`; what it finds wrong is said of the option.
template <class Read>
auto ofOption(const char* key, Read read) {
  try {
    return read();
  } catch (const std::invalid_argument& e) {
    throw sdk::OptionError(key, e.what());
  }
}

std::string hostName() {
  char name[256] = "";
  return ::gethostname(name, sizeof(name) - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

Target targetOf(const sdk::Options& options) {
  Target target;
  target.url = ofOption("endpoint", [&] { return checkedUrl(std::string(options.text("endpoint"))); });
  target.headers = ofOption("headers", [&] { return parsePairs(options.text("headers")); });
  target.ca_file = options.text("ca_file");
  target.gzip = options.text("compression") == "gzip";
  return target;
}

/// What every request says of its sender. What the operator gives is preferred.
Pairs resourceOf(const sdk::Options& options) {
  Pairs resource = ofOption("resource_attributes", [&] { return parsePairs(options.text("resource_attributes")); });
  const auto add = [&](std::string_view name, std::string_view value) {
    if (std::ranges::none_of(resource, [&](const auto& one) { return one.first == name; }))
      resource.emplace_back(name, value);
  };
  add("service.name", options.text("service_name"));
  const std::string instance(options.text("service_instance_id"));
  add("service.instance.id", instance.empty() ? hostName() : instance);
  return resource;
}

bool mayBeTriedAgain(const Answer& answer) noexcept {
  return answer.status == 0 || answer.status == 429 || answer.status == 502 || answer.status == 503 ||
         answer.status == 504;
}

std::string reasonOf(const Answer& answer) {
  if (answer.status == 0) return answer.problem;
  std::string reason = "answered " + std::to_string(answer.status);
  if (!answer.body.empty()) reason += " " + sdk::quoted(answer.body, 120);
  return reason;
}

class Otlp : public sdk::MetricsSink {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("endpoint", LEMONADE_OPTION_STRING, "http://127.0.0.1:4318/v1/metrics",
                  "The URL of the receiver, of http or https; without a path /v1/metrics is asked."),
      sdk::secret(sdk::option("headers", LEMONADE_OPTION_STRING, "",
                              "Headers of every request: \"name=value,name=value\", with %HH in values.")),
      sdk::option("service_name", LEMONADE_OPTION_STRING, "lemonade", "The resource attribute service.name."),
      sdk::option("service_instance_id", LEMONADE_OPTION_STRING, "",
                  "The resource attribute service.instance.id; the name of the machine where it is empty."),
      sdk::option("resource_attributes", LEMONADE_OPTION_STRING, "",
                  "More resource attributes: \"name=value,name=value\", with %HH in values."),
      sdk::option("timeout", LEMONADE_OPTION_DURATION, "5s", "How long one delivery may take, with all its tries.", 100,
                  60'000),
      sdk::option("compression", LEMONADE_OPTION_CHOICE, "none", "How requests are compressed.", 0, 0, "none,gzip"),
      sdk::option("batch", LEMONADE_OPTION_INTEGER, "10000", "How many data points one request has at most.", 100,
                  1'000'000),
      sdk::option("ca_file", LEMONADE_OPTION_STRING, "",
                  "A PEM file of the certificates that the receiver's is checked by; the system's where it is empty."),
  };

  Otlp(sdk::Host host, const sdk::Options& options)
      : host_(host),
        resource_(resourceOf(options)),
        timeout_(options.duration("timeout")),
        batch_(static_cast<std::size_t>(options.integer("batch"))),
        rejected_(host.metric(LEMONADE_METRIC_COUNTER, "otlp_points_rejected_total",
                              "Data points that the receiver took the rest of the request without.")),
        retries_(host.metric(LEMONADE_METRIC_COUNTER, "otlp_retries_total", "Requests that were sent again.")),
        client_(ofOption("headers", [&] { return std::make_unique<HttpClient>(targetOf(options)); })) {}

  void flush(const sdk::Snapshot& snapshot, std::uint64_t deadline_ns) {
    const auto now_ns = host_.nowNs();
    deadline_ns_ = std::min(deadline_ns, now_ns + static_cast<std::uint64_t>(timeout_.count()));
    problem_.clear();
    hopeless_ = false;
    if (now_ns < quiet_until_ns_)
      throw std::runtime_error("the receiver wants nothing for " +
                               std::to_string((quiet_until_ns_ - now_ns) / 1'000'000'000 + 1) + " s more");
    auto resource = resource_;
    if (const auto version = versionIn(snapshot); !version.empty() && !has(resource, "service.version"))
      resource.emplace_back("service.version", version);
    writeRequests(snapshot, resource, starts_, batch_, [this](const std::string& body) { deliver(body); });
    if (!problem_.empty()) throw std::runtime_error(problem_);
  }

 private:
  static bool has(const Pairs& pairs, std::string_view name) {
    return std::ranges::any_of(pairs, [&](const auto& one) { return one.first == name; });
  }

  /// Sends one request, again while that may help and there is time.
  void deliver(const std::string& body) {
    if (hopeless_) return;
    for (nanoseconds backoff = kFirstPause;; backoff = std::min(backoff * 2, kLongestPause)) {
      const auto answer = client_->post(body, left());
      if (answer.status >= 200 && answer.status < 300) return readSuccess(answer.body);
      const auto pause = answer.retry_after ? nanoseconds(*answer.retry_after) : jittered(backoff);
      const bool again = mayBeTriedAgain(answer);
      hopeless_ = again && pause >= left();  // where no try would help, the next request may be better
      if (again && answer.retry_after) quiet_until_ns_ = host_.nowNs() + static_cast<std::uint64_t>(pause.count());
      if (!again || hopeless_) {
        if (problem_.empty()) problem_ = reasonOf(answer);
        return;
      }
      std::this_thread::sleep_for(pause);
      lemonade_metric_add(retries_, 1);
    }
  }

  /// Logs what the receiver refused, once for each thing that it says.
  void readSuccess(const std::string& body) {
    if (body.empty()) return;
    const auto partial = partialSuccessIn(body);
    if (partial.rejected > 0) lemonade_metric_add(rejected_, partial.rejected);
    if ((partial.rejected <= 0 && partial.message.empty()) || partial.message == last_message_) return;
    last_message_ = partial.message;
    host_.log(LEMONADE_LOG_WARNING, "the receiver rejected " + std::to_string(partial.rejected) +
                                        " data points: " + sdk::quoted(partial.message, 200));
  }

  nanoseconds jittered(nanoseconds pause) { return nanoseconds(pause.count() / 2 + random_() % (pause.count() / 2)); }

  nanoseconds left() const noexcept {
    const auto now_ns = host_.nowNs();
    return nanoseconds(now_ns < deadline_ns_ ? deadline_ns_ - now_ns : 0);
  }

  const sdk::Host host_;
  const Pairs resource_;
  const nanoseconds timeout_;
  const std::size_t batch_;
  lemonade_metric_cell_t* const rejected_;
  lemonade_metric_cell_t* const retries_;
  const std::unique_ptr<HttpClient> client_;

  StartTimes starts_;
  std::minstd_rand random_{std::random_device{}()};
  std::uint64_t deadline_ns_ = 0;
  std::uint64_t quiet_until_ns_ = 0;  // as the receiver asked
  std::string problem_;               // the first of this flush that was not mended
  bool hopeless_ = false;             // nothing more is tried in this flush
  std::string last_message_;          // of a partial success
};

}  // namespace
}  // namespace lemonade::otlp

// libcurl and what it loads have exit handlers, and a look-up that hangs leaves a thread behind: the image stays.
LEMONADE_METRICS_SINK(lemonade::otlp::Otlp, .id = "otlp", .version = "1.0.0", .name = "OTLP", .vendor = "Lemonade",
                      .doc = "Pushes every metric to an OpenTelemetry receiver by OTLP/HTTP in JSON.")
