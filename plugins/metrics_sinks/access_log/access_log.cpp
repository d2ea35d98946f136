// SPDX-License-Identifier: MIT
//
// Writes a line for each session that has ended: to a file, to standard error, or to a syslog server. Which sessions
// get one is chosen here; what a line looks like is the format's affair, and where it goes the output's.
#include "file_output.h"
#include "format.h"
#include "output.h"
#include "syslog_output.h"

#include <lemonade/sdk/metrics_sink.hpp>

#include <datagrams/server.h>

#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>

namespace lemonade::access_log {
namespace {

constexpr std::string_view kExpected =
    R"(give a path that begins with "/", "stderr", "syslog:unix:/dev/log" or "syslog:udp:host:port")";
constexpr std::string_view kUdp = "syslog:udp:";
constexpr std::string_view kUnix = "syslog:unix:";

class AccessLog : public sdk::MetricsSink {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("to", LEMONADE_OPTION_STRING, "stderr",
                  "Where lines go: \"/path\", \"stderr\", \"syslog:unix:/dev/log\" or \"syslog:udp:host:port\"."),
      sdk::option("format", LEMONADE_OPTION_STRING, "text",
                  "\"text\", \"json\", or a line with fields, such as \"{client} {backend} {duration_ms}\"."),
      sdk::option("only", LEMONADE_OPTION_CHOICE, "all", "Whether only sessions that ended in an error get a line.", 0,
                  0, "all,errors"),
      sdk::option("sample", LEMONADE_OPTION_NUMBER, "1",
                  "The share of the sessions without an error that get a line, chosen at random.", 0, 1),
      sdk::option("facility", LEMONADE_OPTION_CHOICE, "daemon", "The facility that syslog is told.", 0, 0,
                  "daemon,local0,local1,local2,local3,local4,local5,local6,local7"),
      sdk::option("packet_bytes", LEMONADE_OPTION_INTEGER, "2048",
                  "How large a message to syslog may be; a longer one is cut.", 480, 65507),
  };

  AccessLog(sdk::Host host, const sdk::Options& options)
      : lost_(host.metric(LEMONADE_METRIC_COUNTER, "access_log_lines_lost_total",
                          "Lines that could not be written or sent.")),
        cut_(host.metric(LEMONADE_METRIC_COUNTER, "access_log_messages_cut_total",
                         "Messages to syslog that were cut because they were too long.")),
        format_(formatOf(options)),
        output_(outputOf(host, options)),
        sample_(options.text("only") == "errors" ? 0 : options.number("sample")) {}

  void onSessions(const sdk::SessionBatch& batch, std::uint64_t deadline_ns) {
    for (std::uint32_t i = 0; i < batch.size(); ++i) {
      const auto& record = batch[i];
      if (!isChosen(record)) continue;
      line_.clear();
      format_.append(line_, record);
      output_->add(line_, record);
    }
    const auto written = output_->finish(deadline_ns);
    lemonade_metric_add(lost_, static_cast<std::int64_t>(written.lost));
    if (!written.problem.empty()) throw std::runtime_error(written.problem);
  }

  void reopen() { output_->reopen(); }

 private:
  static Format formatOf(const sdk::Options& options) {
    try {
      return Format(options.text("format"));
    } catch (const std::invalid_argument& e) {
      throw sdk::OptionError("format", e.what());
    }
  }

  std::unique_ptr<Output> outputOf(sdk::Host host, const sdk::Options& options) {
    const auto to = options.text("to");
    try {
      if (to == "stderr") return std::make_unique<FileOutput>("");
      if (to.starts_with('/')) return std::make_unique<FileOutput>(std::string(to));
      if (!to.starts_with(kUdp) && !to.starts_with(kUnix)) throw std::runtime_error(std::string(kExpected));
      auto server = datagrams::Address::parse(to.starts_with(kUdp) ? to.substr(kUdp.size())
                                                                   : to.substr(std::string_view("syslog:").size()));
      if (to.starts_with(kUdp) && !server.path.empty()) throw std::runtime_error(std::string(kExpected));
      return std::make_unique<SyslogOutput>(
          std::move(server), facilityOf(options.text("facility")),
          static_cast<std::size_t>(options.integer("packet_bytes")), [host] { return host.nowNs(); },
          [this] { lemonade_metric_add(cut_, 1); });
    } catch (const std::invalid_argument&) {
      throw sdk::OptionError("to", std::string(kExpected));
    } catch (const std::runtime_error& e) {
      throw sdk::OptionError("to", e.what());
    }
  }

  bool isChosen(const lemonade_session_record_t& record) {
    if (sample_ >= 1 || lemonade_record_is_error(&record) != 0) return true;
    return sample_ > 0 && std::uniform_real_distribution<double>()(random_) < sample_;
  }

  lemonade_metric_cell_t* const lost_;
  lemonade_metric_cell_t* const cut_;
  Format format_;
  const std::unique_ptr<Output> output_;
  const double sample_;
  std::minstd_rand random_{std::random_device()()};
  std::string line_;
};

}  // namespace
}  // namespace lemonade::access_log

// A look-up that hangs leaves a thread behind: the image stays.
LEMONADE_METRICS_SINK(lemonade::access_log::AccessLog, .id = "access_log", .version = "1.0.0", .name = "Access log",
                      .vendor = "Lemonade",
                      .doc = "Writes a line for each session: to a file, to standard error or to a syslog server.")
