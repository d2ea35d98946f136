// SPDX-License-Identifier: MIT
#include "validate/harness.h"

#include "base/clock.h"

#include <algorithm>
#include <cstring>

namespace lemonade::validate {

namespace {

config::OptionValue sampleOf(const lemonade_option_t& row) {
  config::OptionValue value{std::string(view(row.key)), false, {}};
  const double number = row.minimum == 0 && row.maximum == 0 ? 1 : row.minimum;
  switch (row.type) {
    case LEMONADE_OPTION_INTEGER:
    case LEMONADE_OPTION_DURATION:
      value.value = static_cast<std::int64_t>(number);
      break;
    case LEMONADE_OPTION_NUMBER:
      value.value = number;
      break;
    case LEMONADE_OPTION_STRING:
      value.value = std::string("sample");
      break;
    case LEMONADE_OPTION_CHOICE:
      value.value = std::string(view(row.choices).substr(0, view(row.choices).find(',')));
      break;
    default:
      break;
  }
  return value;
}

bool names(const config::OptionTable& table, std::string_view key) {
  return std::any_of(table.begin(), table.end(), [&](const auto& value) { return value.key == key; });
}

/// A later one of the same key replaces an earlier one.
config::OptionTable merged(const Subject& subject, const lemonade_plugin_t& plugin,
                           const config::OptionTable& changes) {
  config::OptionTable table = changes;
  for (const auto& value : subject.options)
    if (!names(table, value.key)) table.push_back(value);
  return withSamples(plugin::OptionSchema::ofPlugin(plugin, plugin.id), table);
}

plugin::OptionSet build(const Subject& subject, const lemonade_plugin_t& plugin, const config::OptionTable& changes) {
  std::vector<plugin::OptionProblem> problems;
  auto set = plugin::OptionSet::build(plugin, {plugin.id, {}, merged(subject, plugin, changes)}, problems);
  require(problems.empty(), problems.empty() ? "" : problems[0].text);
  return set;
}

}  // namespace

Code::Code(const Subject& subject, std::uint64_t image_generation) {
  stage("loading");
  auto copy = plugin::PrivateCopies{}.make(*subject.loadable, image_generation);
  require(copy.ok(), copy ? "" : "it " + copy.error().message);
  auto loaded = plugin::Image::load(*subject.loadable, std::move(copy).value());
  require(loaded.ok(), loaded ? "" : "it " + loaded.error().message);
  image_ = std::move(loaded).value();
}

const lemonade_host_t* soloHost(std::size_t extra) {
  static Guarded<lemonade_host_t>* const plain = new Guarded<lemonade_host_t>(0);
  static Guarded<lemonade_host_t>* const larger = new Guarded<lemonade_host_t>(kExtra);
  auto& host = *(extra == 0 ? plain : larger)->get();
  host.abi_minor = host_is_1_0 ? 0 : extra == 0 ? LEMONADE_ABI_MINOR : LEMONADE_ABI_MINOR + 1;
  host.log = [](void*, std::uint32_t, lemonade_str_t) noexcept {};
  host.now_ns = [](void*) noexcept -> std::uint64_t { return nowNs(); };
  host.post = [](void*, void (*)(void*) noexcept, void*) noexcept -> lemonade_status_t { return LEMONADE_OK; };
  host.timer_start = [](void*, std::uint64_t, void (*)(void*) noexcept, void*,
                        std::uint64_t* timer) noexcept -> lemonade_status_t {
    *timer = 1;
    return LEMONADE_OK;
  };
  host.timer_cancel = [](void*, std::uint64_t) noexcept {};
  host.register_metric = [](void*, std::uint32_t, lemonade_str_t, lemonade_str_t,
                            lemonade_metric_cell_t** cell) noexcept -> lemonade_status_t {
    static lemonade_metric_cell_t shared;
    *cell = &shared;
    return LEMONADE_OK;
  };
  host.get_extension = [](void*, lemonade_str_t) noexcept -> const void* { return nullptr; };
  return &host;
}

Values::Values(const Subject& subject, const lemonade_plugin_t& plugin, const config::OptionTable& changes,
               std::size_t extra)
    : set_(build(subject, plugin, changes)), options_(extra) {
  const auto plain = set_.get();
  options_->count = plain.count;
  options_->values = plain.values;
}

config::OptionTable withSamples(const plugin::OptionSchema& schema, const config::OptionTable& changes) {
  config::OptionTable table = changes;
  for (std::uint32_t i = 0; i < schema.count; ++i) {
    const auto& row = schema.row(i);
    if ((row.flags & LEMONADE_OPTION_REQUIRED) != 0 && !names(table, view(row.key))) table.push_back(sampleOf(row));
  }
  return table;
}

const lemonade_option_t& optionRow(const lemonade_plugin_t& plugin, std::uint32_t index) {
  const auto* rows = reinterpret_cast<const char*>(plugin.options);
  return *reinterpret_cast<const lemonade_option_t*>(rows + std::size_t{index} * plugin.option_stride);
}

std::vector<std::string> sampledOptions(const Subject& subject, const lemonade_plugin_t& plugin) {
  std::vector<std::string> keys;
  for (std::uint32_t i = 0; i < plugin.option_count; ++i) {
    const auto& row = optionRow(plugin, i);
    const bool is_required = (row.flags & LEMONADE_OPTION_REQUIRED) != 0;
    if (is_required && !names(subject.options, view(row.key))) keys.emplace_back(view(row.key));
  }
  return keys;
}

std::string describe(const lemonade_error_t& error) {
  const std::string key(error.key, ::strnlen(error.key, sizeof(error.key)));
  const std::string message(error.message, ::strnlen(error.message, sizeof(error.message)));
  return key.empty() ? message : key + ": " + message;
}

void requireError(const lemonade_plugin_t& plugin, lemonade_status_t status, const lemonade_error_t& error) {
  const std::string at = "; status " + std::to_string(status);
  const auto demand = [](bool holds, const std::string& found) {
    require(holds, found, "fill error with the code that is returned, the key of an option or \"\", and a message");
  };
  demand(std::memchr(error.key, 0, sizeof(error.key)) != nullptr, "the key of its error is not terminated" + at);
  demand(std::memchr(error.message, 0, sizeof(error.message)) != nullptr,
         "the message of its error is not terminated" + at);
  demand(error.message[0] != '\0', "it fails without a message" + at);
  demand(error.code == status, "the code of its error is " + std::to_string(error.code) + at);
  bool known = error.key[0] == '\0';
  for (std::uint32_t i = 0; i < plugin.option_count; ++i) known = known || view(optionRow(plugin, i).key) == error.key;
  demand(known, "its error blames an option that it does not have: " + std::string(error.key));
}

}  // namespace lemonade::validate
