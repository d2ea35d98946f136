// SPDX-License-Identifier: MIT
//
// Lines to a syslog server, a datagram each as RFC 5424 has it (RFC 5426 over UDP). Without structured data: what there
// is to say is the message. Errors have severity 4, warning; the rest 6, informational. One thread.
#pragma once

#include "fields.h"
#include "output.h"

#include <datagrams/server.h>

#include <cstddef>
#include <functional>
#include <vector>

namespace lemonade::access_log {

/// The number of a facility: "daemon", "local0" ... "local7". The schema knows no others.
std::uint32_t facilityOf(std::string_view name) noexcept;

class SyslogOutput final : public Output {
 public:
  /// now_ns is the host's clock. on_cut is called for each message that did not fit into most_bytes and was cut.
  SyslogOutput(datagrams::Address server, std::uint32_t facility, std::size_t most_bytes,
               std::function<std::uint64_t()> now_ns, std::function<void()> on_cut);

  void add(std::string_view line, const lemonade_session_record_t& record) override;
  Written finish(std::uint64_t deadline_ns) override;
  void reopen() override { server_.doubt(); }

 private:
  bool send(const std::string& datagram, std::uint64_t deadline_ns);

  datagrams::Server server_;
  const std::uint32_t facility_;
  const std::size_t most_bytes_;
  const std::function<std::uint64_t()> now_ns_;
  const std::function<void()> on_cut_;
  const std::string origin_;  // what stands between the time and the message
  TimeWriter times_;
  std::vector<std::string> datagrams_;
  std::string problem_;
};

}  // namespace lemonade::access_log
