// SPDX-License-Identifier: MIT
#include "balance/view.h"

#include "base/log.h"
#include "plugin/text.h"

#include <algorithm>
#include <cmath>

namespace lemonade {

namespace {

using plugin::str;

std::uint32_t flagsOf(const Backend& backend) noexcept {
  std::uint32_t flags = 0;
  if (backend.healthy()) flags |= LEMONADE_BACKEND_HEALTHY;
  if (backend.enabled()) flags |= LEMONADE_BACKEND_ENABLED;
  if (backend.draining()) flags |= LEMONADE_BACKEND_DRAINING;
  if (backend.ejected()) flags |= LEMONADE_BACKEND_EJECTED;
  return flags;
}

/// In thousandths; 0 only where the weight is.
std::uint32_t effectiveWeight(std::uint32_t weight, double share) noexcept {
  if (weight == 0) return 0;
  return std::max(1u, static_cast<std::uint32_t>(std::lround(1000.0 * weight * share)));
}

}  // namespace

View::View(const Backends& backends, const Eligible& eligible, std::shared_ptr<Strategy> strategy,
           const SlowStart& slow_start, std::uint64_t now_ns, std::uint64_t serial,
           std::shared_ptr<const ViewNames> names)
    : backends_(backends),
      strategy_(std::move(strategy)),
      names_(std::move(names)),
      backend_options_(plugin::OptionSchema::ofBackends(strategy_->table(), strategy_->info().id)),
      events_(strategy_->table().events) {
  std::vector<lemonade_backend_t> rows;
  rows.reserve(backends_.size());
  settings_.reserve(backends_.size());
  for (const auto& backend : backends_) rows.push_back(row(*backend, slow_start, now_ns));
  for (const auto& indices : eligible.tiers) addTier(rows, indices, serial);
  if (tiers_.empty()) addTier(rows, {}, serial);
}

lemonade_backend_t View::row(Backend& backend, const SlowStart& slow_start, std::uint64_t now_ns) {
  const config::Backend& settings = *settings_.emplace_back(backend.sharedSettings());
  const double share = backend.ramp().share(slow_start, now_ns);
  ramping_ = ramping_ || (share < 1 && backend.ramp().taking());
  lemonade_backend_t row{};
  row.id = str(backend.id());
  row.name = str(settings.name);
  row.address = str(backend.addressText());
  row.identity = backend.identity();
  row.weight = backend.weight();
  row.effective_weight = effectiveWeight(row.weight, share);
  row.max_connections = backend.maxConnections();
  row.flags = flagsOf(backend);
  row.priority = backend.priority();
  row.stats = &backend.stats();
  row.zone = str(settings.zone);
  row.speed = &backend.speed();
  if (!settings.labels.empty()) addLabels(settings, row);
  if (backend_options_.count != 0) addOptions(settings, row);
  return row;
}

void View::addLabels(const config::Backend& settings, lemonade_backend_t& row) {
  auto& labels = labels_.emplace_back();
  labels.reserve(settings.labels.size());
  for (const auto& [name, value] : settings.labels) labels.push_back({str(name), str(value)});
  row.labels = labels.data();
  row.label_count = static_cast<std::uint32_t>(labels.size());
}

// What is wrong with them was found before the strategy and the backends came together; see checkBackendOptions.
void View::addOptions(const config::Backend& settings, lemonade_backend_t& row) {
  std::vector<plugin::OptionProblem> problems;
  option_sets_.push_back(plugin::OptionSet::build(backend_options_, settings.options, {}, problems));
  options_.push_back(option_sets_.back().get());
  row.options = &options_.back();
}

void View::addTier(const std::vector<lemonade_backend_t>& rows, std::vector<std::uint32_t> eligible,
                   std::uint64_t serial) {
  auto& tier = tiers_.emplace_back();
  tier.rows_ = rows;
  tier.eligible_ = std::move(eligible);
  for (const auto index : tier.eligible_) tier.rows_[index].flags |= LEMONADE_BACKEND_ELIGIBLE;
  tier.view_.struct_size = sizeof(tier.view_);
  tier.view_.backend_stride = sizeof(lemonade_backend_t);
  tier.view_.backend_count = static_cast<std::uint32_t>(tier.rows_.size());
  tier.view_.eligible_count = static_cast<std::uint32_t>(tier.eligible_.size());
  tier.view_.backends = tier.rows_.data();
  tier.view_.eligible = tier.eligible_.data();
  tier.view_.serial = serial;
  tier.view_.pool = str(names_->pool);
  tier.view_.zone = str(names_->zone);
  eligible_count_ += tier.view_.eligible_count;
  prepare(tier);
}

void View::prepare(Tier& tier) const {
  const auto& table = strategy_->table();
  if (table.prepare == nullptr) return;
  auto error = plugin::emptyError();
  lemonade_status_t status = LEMONADE_ERROR_INVALID;
  const bool came_back = strategy_->guard().call(plugin::Function::kPrepare, [&] {
    status = table.prepare(strategy_->self(), &tier.view_, &tier.prepared_, &error);
  });
  if (came_back && status == LEMONADE_OK) return;
  tier.prepared_ = nullptr;
  if (!came_back) return;  // which is told elsewhere
  log::error("balance", "strategy could not prepare for the backends",
             {{"strategy", strategy_->info().id}, {"reason", plugin::describe(error)}});
}

View::~View() {
  for (const auto& tier : tiers_)
    if (tier.prepared_ != nullptr)
      (void)strategy_->guard().call(plugin::Function::kEndPrepared,
                                    [&] { strategy_->table().release(strategy_->self(), tier.prepared_); });
}

}  // namespace lemonade
