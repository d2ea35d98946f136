// SPDX-License-Identifier: MIT
#include "support/checker_fixture.h"

#include <dlfcn.h>
#include <lemonade/sdk/plugin.hpp>

#include <stdexcept>
#include <utility>

namespace lemonade::test {
namespace {

using sdk::str;

std::string text(lemonade_str_t value) { return {value.data == nullptr ? "" : value.data, value.size}; }

}  // namespace

CheckerFixture::CheckerFixture(const std::string& path, const std::map<std::string, std::string>& options) {
  image_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (image_ == nullptr) throw std::runtime_error(dlerror());
  const auto* plugin = static_cast<const lemonade_plugin_t*>(dlsym(image_, LEMONADE_ENTRY_SYMBOL));
  if (plugin == nullptr) throw std::runtime_error(path + " has no entry symbol");
  table_ = static_cast<const lemonade_health_checker_t*>(
      plugin->get_interface(LEMONADE_STR(LEMONADE_HEALTH_CHECKER_INTERFACE)));
  if (table_ == nullptr) throw std::runtime_error(path + " is no health checker");

  std::vector<lemonade_option_value_t> values;
  for (std::uint32_t i = 0; i < plugin->option_count; ++i) {
    const auto& row = plugin->options[i];
    const auto given = options.find(text(row.key));
    values.push_back({0, 0, given == options.end() ? row.default_value : str(given->second)});
  }
  const lemonade_options_t tree{sizeof(tree), plugin->option_count, values.data()};
  host_.struct_size = sizeof(host_);
  lemonade_error_t error{sizeof(error), 0, {}, {}};
  if (table_->create(&host_, &tree, &self_, &error) != LEMONADE_OK)
    throw std::runtime_error(std::string(error.key) + ": " + error.message);
}

CheckerFixture::~CheckerFixture() {
  if (self_ != nullptr) table_->destroy(self_);
  dlclose(image_);
}

CheckerFixture::Check::Check(const CheckerFixture& checker, std::string_view address, std::string_view hostname)
    : checker_(checker) {
  lemonade_probe_target_t target{};
  target.struct_size = sizeof(target);
  target.id = target.name = LEMONADE_STR("web-1");
  target.address = str(address);
  target.hostname = str(hostname);
  target.timeout_ns = 2'000'000'000;
  lemonade_probe_verdict_t verdict{};
  verdict.struct_size = sizeof(verdict);
  if (checker_.table_->probe_begin(checker_.self_, &target, &probe_, &verdict) != LEMONADE_OK)
    throw std::runtime_error("probe_begin failed");
  if (verdict.what == LEMONADE_VERDICT_SEND) sent_ = text(verdict.send);
}

void CheckerFixture::Check::end() {
  if (probe_ != nullptr) checker_.table_->probe_end(checker_.self_, std::exchange(probe_, nullptr));
}

Finding CheckerFixture::Check::event(std::uint32_t type, std::string_view bytes, int number) {
  if (probe_ == nullptr) return last_;
  const std::string alone(bytes);  // so that reading beyond it is a finding of the sanitizer
  lemonade_probe_event_t event{};
  event.struct_size = sizeof(event);
  event.type = type;
  event.data = str(alone);
  event.error = number;
  lemonade_probe_verdict_t verdict{};
  verdict.struct_size = sizeof(verdict);
  checker_.table_->probe_event(checker_.self_, probe_, &event, &verdict);
  if (verdict.what == LEMONADE_VERDICT_SEND) sent_ += text(verdict.send);
  last_ = {verdict.what, text(verdict.reason)};
  if (verdict.what > LEMONADE_VERDICT_SEND) end();
  return last_;
}

Finding CheckerFixture::after(const std::vector<std::string>& pieces, bool closed) const {
  Check check(*this);
  auto finding = check.connected();
  for (const auto& piece : pieces) finding = check.data(piece);
  return closed ? check.eof() : finding;
}

Finding CheckerFixture::however(std::string_view answer, bool closed) const {
  const auto whole = after({std::string(answer)}, closed);
  const auto compare = [&](const std::vector<std::string>& pieces, std::size_t cut) {
    const auto finding = after(pieces, closed);
    if (finding.what != whole.what || finding.reason != whole.reason)
      throw std::runtime_error("cut at " + std::to_string(cut) + ": \"" + finding.reason + "\" rather than \"" +
                               whole.reason + "\"");
  };
  std::vector<std::string> bytes;
  for (const char byte : answer) bytes.emplace_back(1, byte);
  compare(bytes, 1);
  for (std::size_t cut = 1; cut < answer.size(); ++cut)
    compare({std::string(answer.substr(0, cut)), std::string(answer.substr(cut))}, cut);
  return whole;
}

}  // namespace lemonade::test
