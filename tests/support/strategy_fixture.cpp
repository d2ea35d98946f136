// SPDX-License-Identifier: MIT
#include "support/strategy_fixture.h"

#include <lemonade/sdk/sampling.hpp>

#include <dlfcn.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace lemonade::test {
namespace {

constexpr std::uint32_t kWorkers = 4;

std::string text(lemonade_str_t value) { return {value.data, value.size}; }

/// value must outlive the result.
lemonade_option_value_t parse(const lemonade_option_t& row, const std::string& value) {
  if (row.type == LEMONADE_OPTION_STRING)
    throw std::runtime_error("the fixture knows no options of this type: " + text(row.key));
  if (row.type == LEMONADE_OPTION_BOOLEAN) return {value == "true" ? 1 : 0, 0, {nullptr, 0}};
  if (row.type == LEMONADE_OPTION_CHOICE) return {0, 0, {value.data(), value.size()}};
  char* unit = nullptr;
  double number = std::strtod(value.c_str(), &unit);
  if (row.type == LEMONADE_OPTION_DURATION) number *= std::string(unit) == "s" ? 1e9 : 1e6;
  return {static_cast<std::int64_t>(number), number, {nullptr, 0}};
}

lemonade_host_t quietHost() {
  lemonade_host_t host{};
  host.struct_size = sizeof(host);
  host.log = [](void*, std::uint32_t, lemonade_str_t) noexcept {};
  host.now_ns = [](void*) noexcept -> std::uint64_t { return 0; };
  host.register_metric = [](void*, std::uint32_t, lemonade_str_t, lemonade_str_t, lemonade_metric_cell_t**) noexcept {
    return lemonade_status_t{LEMONADE_ERROR_LIMIT};
  };
  return host;
}

}  // namespace

std::vector<BackendSpec> equalBackends(std::size_t count) { return std::vector<BackendSpec>(count); }

std::vector<BackendSpec> weightedBackends(const std::vector<std::uint32_t>& weights) {
  std::vector<BackendSpec> backends;
  for (const auto weight : weights) backends.push_back({weight});
  return backends;
}

std::vector<BackendSpec> zonedBackends(const std::vector<std::string>& zones) {
  std::vector<BackendSpec> backends(zones.size());
  for (std::size_t i = 0; i < zones.size(); ++i) backends[i].zone = zones[i];
  return backends;
}

StrategyFixture::StrategyFixture(const std::string& path, std::vector<BackendSpec> backends,
                                 std::map<std::string, std::string> options) {
  host_ = quietHost();
  load(path, options);
  publish(std::move(backends));
}

StrategyFixture::~StrategyFixture() {
  release();
  for (auto* lane : lanes_) table_->lane_destroy(self_, lane);
  table_->destroy(self_);
  dlclose(image_);
}

void StrategyFixture::load(const std::string& path, const std::map<std::string, std::string>& options) {
  image_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (image_ == nullptr) throw std::runtime_error(dlerror());
  const auto* plugin = static_cast<const lemonade_plugin_t*>(dlsym(image_, LEMONADE_ENTRY_SYMBOL));
  if (plugin == nullptr) throw std::runtime_error(path + " has no entry symbol");
  table_ = static_cast<const lemonade_strategy_t*>(plugin->get_interface(LEMONADE_STR(LEMONADE_STRATEGY_INTERFACE)));
  if (table_ == nullptr) throw std::runtime_error(path + " is no strategy");

  std::vector<lemonade_option_value_t> values;
  std::deque<std::string> texts;  // a deque, since values point to them
  for (std::uint32_t i = 0; i < plugin->option_count; ++i) {
    const auto& row = plugin->options[i];
    const auto given = options.find(text(row.key));
    values.push_back(parse(row, texts.emplace_back(given == options.end() ? text(row.default_value) : given->second)));
  }
  const lemonade_options_t tree{sizeof(tree), plugin->option_count, values.data()};
  lemonade_error_t error{sizeof(error), 0, {}, {}};
  if (table_->create(&host_, &tree, &self_, &error) != LEMONADE_OK) throw std::runtime_error(error.message);
  for (std::uint32_t worker = 0; table_->lane_create != nullptr && worker < kWorkers; ++worker)
    if (table_->lane_create(self_, worker, &lanes_.emplace_back(), &error) != LEMONADE_OK)
      throw std::runtime_error(error.message);
}

void StrategyFixture::publish(std::vector<BackendSpec> backends) {
  release();  // while its view still stands
  specs_ = std::move(backends);
  backends_.clear();
  eligible_.clear();
  for (std::uint32_t i = 0; i < specs_.size(); ++i) {
    auto& spec = specs_[i];
    if (spec.id.empty()) spec.id = "web-" + std::to_string(i);
    if (i == stats_.size()) stats_.emplace_back();
    const bool eligible = spec.healthy && spec.weight > 0;
    auto& row = backends_.emplace_back();
    row.id = row.name = row.address = {spec.id.data(), spec.id.size()};
    row.identity = i + 1;
    row.weight = spec.weight;
    row.effective_weight = spec.effective_weight.value_or(spec.weight * 1000);
    row.max_connections = spec.max_connections;
    row.flags = LEMONADE_BACKEND_ENABLED | (spec.healthy ? LEMONADE_BACKEND_HEALTHY : 0) |
                (eligible ? LEMONADE_BACKEND_ELIGIBLE : 0);
    row.stats = &stats_[i].stats;
    row.speed = &stats_[i].speed;
    stats_[i].speed.struct_size = sizeof(lemonade_backend_speed_t);
    row.zone = {spec.zone.data(), spec.zone.size()};
    if (eligible) eligible_.push_back(i);
  }
  view_.struct_size = sizeof(view_);
  view_.backend_stride = sizeof(lemonade_backend_t);
  view_.backend_count = static_cast<std::uint32_t>(backends_.size());
  view_.eligible_count = static_cast<std::uint32_t>(eligible_.size());
  view_.backends = backends_.data();
  view_.eligible = eligible_.data();
  view_.zone = {zone_.data(), zone_.size()};
  ++view_.serial;
  prepareAgain();
}

void StrategyFixture::prepareAgain() {
  release();
  lemonade_error_t error{sizeof(error), 0, {}, {}};
  if (table_->prepare != nullptr && table_->prepare(self_, &view_, &prepared_, &error) != LEMONADE_OK)
    throw std::runtime_error(error.message);
}

void StrategyFixture::release() {
  if (prepared_ != nullptr) table_->release(self_, prepared_);
  prepared_ = nullptr;
}

void StrategyFixture::dropPrepared() { release(); }

std::uint32_t StrategyFixture::pickAs(std::uint32_t worker, std::uint64_t random,
                                      const std::vector<std::uint32_t>& tried) const {
  lemonade_connection_t connection{};
  connection.struct_size = sizeof(connection);
  connection.attempt = static_cast<std::uint32_t>(tried.size());
  connection.now_ns = now_ns_;
  connection.random = random;
  connection.client_family = LEMONADE_FAMILY_IPV4;
  // ::ffff:a.b.c.d in two halves, as it is read: pieces would make the reader wait for the store.
  const std::uint64_t client = client_.value_or(random);
  const std::uint64_t halves[2] = {0, client << 32 | 0xffff0000u};
  static_assert(sizeof(halves) == sizeof(connection.client_address) && std::endian::native == std::endian::little);
  std::memcpy(connection.client_address, halves, sizeof(halves));
  connection.client_port = static_cast<std::uint16_t>(random);
  connection.tried = tried.data();
  connection.tried_count = static_cast<std::uint32_t>(tried.size());
  connection.worker = worker;
  std::uint64_t cookie = 0;
  return table_->pick(self_, lanes_.empty() ? nullptr : lanes_[worker], prepared_, &connection, &view_, &cookie);
}

std::uint32_t StrategyFixture::pick(const std::vector<std::uint32_t>& tried) {
  return pickAs(0, sdk::nthRandom(1, random_++), tried);
}

std::string StrategyFixture::sequence(std::size_t picks) {
  std::string letters;
  for (std::size_t i = 0; i < picks; ++i) {
    const auto index = pick();
    letters += index == LEMONADE_PICK_NONE ? '-' : static_cast<char>('a' + index);
  }
  return letters;
}

std::vector<std::size_t> StrategyFixture::shares(std::size_t picks) {
  std::vector<std::size_t> counts(backends_.size());
  for (std::size_t i = 0; i < picks; ++i)
    if (const auto index = pick(); index < counts.size()) ++counts[index];
  return counts;
}

void StrategyFixture::ask(std::uint32_t index) {
  if (stats(index).waiting == 0) speed(index).head_since_ns = now_ns_;
  ++stats(index).waiting;
  stats(index).waiting_since_sum_us += now_ns_ / 1000;
}

void StrategyFixture::drop(std::uint32_t index, std::uint64_t asked_at_ns) {
  --stats(index).waiting;
  stats(index).waiting_since_sum_us -= asked_at_ns / 1000;
}

void StrategyFixture::answer(std::uint32_t index, std::uint64_t asked_at_ns) {
  drop(index, asked_at_ns);
  auto& live = stats(index);
  // Peak EWMA, as the host keeps it: up at once, down with a time constant of two seconds.
  const auto sample = static_cast<double>(now_ns_ - asked_at_ns);
  const double old = std::exp(-static_cast<double>(now_ns_ - live.sampled_at_ns) / 2e9);
  live.exchange_ewma_ns = std::max(sample, live.exchange_ewma_ns * old + sample * (1 - old));
  live.sampled_at_ns = now_ns_;
}

void StrategyFixture::learn(std::uint32_t index, std::uint64_t ns, float count) {
  const float spans[LEMONADE_SPEED_SPANS] = {4, 32, 256};
  auto& speed = this->speed(index);
  const float root = std::sqrt(static_cast<float>(ns));
  for (int i = 0; i < LEMONADE_SPEED_SPANS; ++i) {
    speed.root[i] = root;
    speed.count[i] = std::min(count, spans[i]);
  }
  speed.newest = root;
  speed.spread = 0.27F * root * root;
  speed.gap_ns = 1e6;
  speed.answered_at_ns = speed.head_since_ns = now_ns_;
  stats(index).exchange_ewma_ns = static_cast<double>(ns);
  stats(index).sampled_at_ns = now_ns_;
}

void StrategyFixture::fail(std::uint32_t index) {
  auto& live = stats(index);
  ++live.fail_streak;
  live.failed_at_ns = now_ns_;
  live.error_rate += (1 - live.error_rate) / 32;
}

void StrategyFixture::succeed(std::uint32_t index) {
  auto& live = stats(index);
  live.fail_streak = 0;
  live.error_rate -= live.error_rate / 32;
}

}  // namespace lemonade::test
