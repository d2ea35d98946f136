// SPDX-License-Identifier: MIT
#include "checker.h"

#include <lemonade/sdk/plugin.hpp>

#include <cstring>
#include <vector>

namespace lemonade::fuzz {

namespace {

using sdk::str;
using sdk::view;

bool ends(std::uint32_t what) { return what >= LEMONADE_VERDICT_PASS; }

/// Checks what a verdict promises and keeps it: its text is the probe's.
Finding take(const lemonade_probe_verdict_t& verdict) {
  require(verdict.what <= LEMONADE_VERDICT_DEGRADED, "a verdict is one of five");
  if (verdict.what == LEMONADE_VERDICT_SEND)
    require(verdict.send.size > 0 && verdict.send.size <= 64 * 1024, "a verdict sends up to 64 KiB");
  return {verdict.what, std::string(view(verdict.reason))};
}

}  // namespace

Checker::Checker(const lemonade_plugin_t& plugin, const std::map<std::string, std::string, std::less<>>& options)
    : table_(
          static_cast<const lemonade_health_checker_t*>(plugin.get_interface(str(LEMONADE_HEALTH_CHECKER_INTERFACE)))) {
  host_.struct_size = sizeof(host_);
  std::vector<lemonade_option_value_t> values(plugin.option_count);
  for (std::uint32_t i = 0; i < plugin.option_count; ++i) {
    const auto given = options.find(view(plugin.options[i].key));
    values[i].text = given == options.end() ? plugin.options[i].default_value : str(given->second);
  }
  const lemonade_options_t set{sizeof(set), plugin.option_count, values.data()};
  lemonade_error_t error{};
  error.struct_size = sizeof(error);
  const auto status = table_->create(&host_, &set, &self_, &error);
  if (status == LEMONADE_OK) return;
  self_ = nullptr;
  require(std::strlen(error.message) > 0, "a refusal says why");
}

Checker::~Checker() {
  if (self_ != nullptr) table_->destroy(self_);
}

Finding Checker::check(std::string_view bytes, std::string_view sizes) const {
  lemonade_probe_target_t target{};
  target.struct_size = sizeof(target);
  target.id = target.name = str("web-1");
  target.address = str("127.0.0.1:80");
  target.hostname = str("app.example");
  void* probe = nullptr;
  lemonade_probe_verdict_t verdict{};
  require(table_->probe_begin(self_, &target, &probe, &verdict) == LEMONADE_OK, "a probe begins");
  const auto tell = [&](std::uint32_t type, std::string_view data) {
    verdict = {};
    verdict.struct_size = sizeof(verdict);
    lemonade_probe_event_t event{};
    event.struct_size = sizeof(event);
    event.type = type;
    event.data = str(data);
    table_->probe_event(self_, probe, &event, &verdict);
    return take(verdict);
  };
  auto finding = tell(LEMONADE_PROBE_CONNECTED, {});
  inPieces(bytes, sizes, [&](std::string_view piece) {
    if (ends(finding.what)) return false;
    const std::string copy(piece);  // of exactly that size, gone after the call
    finding = tell(LEMONADE_PROBE_DATA, copy);
    return true;
  });
  if (!ends(finding.what)) finding = tell(LEMONADE_PROBE_EOF, {});
  if (finding.what <= LEMONADE_VERDICT_SEND) finding.what = LEMONADE_VERDICT_FAIL;  // as the host takes it
  table_->probe_end(self_, probe);
  return finding;
}

}  // namespace lemonade::fuzz
