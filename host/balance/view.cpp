// SPDX-License-Identifier: MIT
#include "balance/view.h"

#include "base/log.h"

namespace lemonade {

namespace {
lemonade_str_t str(const std::string& text) { return {text.data(), text.size()}; }
}  // namespace

View::View(const Backends& backends, std::shared_ptr<Strategy> strategy, std::uint64_t serial)
    : backends_(backends), strategy_(std::move(strategy)) {
  names_.reserve(backends_.size());
  rows_.reserve(backends_.size());
  for (std::uint32_t i = 0; i < backends_.size(); ++i) addRow(*backends_[i], i);
  view_.struct_size = sizeof(view_);
  view_.backend_stride = sizeof(lemonade_backend_t);
  view_.backend_count = static_cast<std::uint32_t>(rows_.size());
  view_.eligible_count = static_cast<std::uint32_t>(eligible_.size());
  view_.backends = rows_.data();
  view_.eligible = eligible_.data();
  view_.serial = serial;
  prepare();
}

void View::addRow(const Backend& backend, std::uint32_t index) {
  names_.push_back(backend.name());
  lemonade_backend_t row{};
  row.id = str(backend.id());
  row.name = str(names_.back());
  row.address = str(backend.addressText());
  row.identity = backend.identity();
  row.weight = backend.weight();
  row.effective_weight = 1000 * backend.weight();
  row.max_connections = backend.maxConnections();
  row.priority = backend.priority();
  row.stats = &backend.stats();
  if (backend.healthy()) row.flags |= LEMONADE_BACKEND_HEALTHY;
  if (backend.enabled()) row.flags |= LEMONADE_BACKEND_ENABLED;
  if (backend.draining()) row.flags |= LEMONADE_BACKEND_DRAINING;
  if (backend.eligible()) {
    row.flags |= LEMONADE_BACKEND_ELIGIBLE;
    eligible_.push_back(index);
  }
  rows_.push_back(row);
}

void View::prepare() {
  const auto& table = strategy_->table();
  if (table.prepare == nullptr) return;
  auto error = plugin::emptyError();
  if (table.prepare(strategy_->self(), &view_, &prepared_, &error) == LEMONADE_OK) return;
  prepared_ = nullptr;
  log::error("balance", "strategy could not prepare for the backends",
             {{"strategy", strategy_->info().id}, {"reason", plugin::describe(error)}});
}

View::~View() {
  if (prepared_ != nullptr) strategy_->table().release(strategy_->self(), prepared_);
}

}  // namespace lemonade
