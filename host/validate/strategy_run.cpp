// SPDX-License-Identifier: MIT
#include "validate/strategy_run.h"

#include "base/clock.h"
#include "base/hash.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

namespace lemonade::validate {

namespace {

constexpr lemonade_label_t kLabels[] = {{LEMONADE_STR("rack"), LEMONADE_STR("r7")},
                                        {LEMONADE_STR("role"), LEMONADE_STR("primary")}};
constexpr lemonade_str_t kHere = LEMONADE_STR("here");
constexpr lemonade_str_t kThere = LEMONADE_STR("there");
constexpr std::uint8_t kLocalAddress[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};

bool needsLocalAddress(const lemonade_strategy_t& table) {
  return LEMONADE_HAS(&table, lemonade_strategy_t, needs) && (table.needs & LEMONADE_NEED_LOCAL_ADDRESS) != 0;
}

/// What ABI 1.1 appended: every other backend is in the balancer's zone, and the third of each four has labels.
void describeBackend(lemonade_backend_t& backend, std::uint32_t index) {
  backend.zone = index % 2 == 0 ? kHere : kThere;
  if (index % 4 != 2) return;
  backend.labels = kLabels;
  backend.label_count = std::size(kLabels);
}

}  // namespace

Scene::Scene(std::vector<BackendSpec> specs, std::size_t extra, std::uint64_t first)
    : specs_(std::move(specs)),
      first_(first),
      stats_(specs_.size() * sizeof(lemonade_backend_stats_t)),
      speeds_(specs_.size() * sizeof(lemonade_backend_speed_t)),
      backends_(specs_.size() * (sizeHere<lemonade_backend_t>() + extra)),
      eligible_(specs_.size() * sizeof(std::uint32_t)),
      view_(extra) {
  static std::uint64_t serial = 0;
  const std::size_t known = sizeHere<lemonade_backend_t>();
  view_->backend_stride = static_cast<std::uint32_t>(known + extra);
  view_->backends = reinterpret_cast<const lemonade_backend_t*>(backends_.data());
  for (std::uint32_t i = 0; i < size(); ++i) ids_.push_back("backend-" + std::to_string(identity(i)));
  for (std::uint32_t i = 0; i < size(); ++i) {
    auto* bytes = backends_.data() + i * (known + extra);
    std::memset(bytes, 0, known);
    std::memset(bytes + known, 0xa5, extra);
    auto& backend = this->backend(i);
    backend.id = backend.name = backend.address = str(ids_[i]);
    backend.identity = identity(i);
    backend.weight = specs_[i].weight;
    backend.effective_weight = specs_[i].weight > 4'000'000 ? 4'000'000'000 : specs_[i].weight * 1'000;
    backend.flags = LEMONADE_BACKEND_ENABLED | (specs_[i].healthy ? LEMONADE_BACKEND_HEALTHY : 0) |
                    (eligible(i) ? LEMONADE_BACKEND_ELIGIBLE : 0);
    backend.stats = &stats(i);
    if (!host_is_1_0) {
      describeBackend(backend, i);
      auto* const speed = reinterpret_cast<lemonade_backend_speed_t*>(speeds_.data()) + i;
      speed->struct_size = sizeof(*speed);
      backend.speed = speed;
    }
    if (eligible(i)) eligible_indices_.push_back(i);
  }
  // At the end of the block: what lies behind the last index is the guard page.
  auto* indices = eligible_.data() + eligible_.size() - eligible_indices_.size() * sizeof(std::uint32_t);
  std::copy(eligible_indices_.begin(), eligible_indices_.end(), reinterpret_cast<std::uint32_t*>(indices));
  view_->backend_count = size();
  view_->eligible_count = static_cast<std::uint32_t>(eligible_indices_.size());
  view_->eligible = reinterpret_cast<const std::uint32_t*>(indices);
  view_->serial = ++serial;
  if (host_is_1_0) return;
  view_->pool = str("default");
  view_->zone = kHere;
}

void Scene::giveOptions(const lemonade_strategy_t& strategy, const config::OptionTable& changes) {
  const auto schema = plugin::OptionSchema::ofBackends(strategy, "under test");
  if (schema.count == 0 || host_is_1_0 || option_set_) return;
  std::vector<plugin::OptionProblem> problems;
  option_set_ = plugin::OptionSet::build(schema, withSamples(schema, changes), {}, problems);
  require(problems.empty(), problems.empty() ? "" : problems[0].text);
  auto& options = options_.emplace(0);
  const auto plain = option_set_->get();
  options->count = plain.count;
  options->values = plain.values;
  for (std::uint32_t i = 0; i < size(); ++i) backend(i).options = options.get();
}

lemonade_backend_t& Scene::backend(std::uint32_t index) noexcept {
  return *reinterpret_cast<lemonade_backend_t*>(backends_.data() + std::size_t{index} * view_->backend_stride);
}

lemonade_backend_stats_t& Scene::stats(std::uint32_t index) noexcept {
  return reinterpret_cast<lemonade_backend_stats_t*>(stats_.data())[index];
}

bool Scene::eligible(std::uint32_t index) const noexcept {
  return index < specs_.size() && specs_[index].healthy && specs_[index].weight > 0;
}

StrategyRun::StrategyRun(const Subject& subject, const Code& code, std::uint32_t workers, std::size_t extra,
                         const config::OptionTable& changes)
    : entry_(code.entry()), extra_(extra), live_(subject, code, changes, extra), connection_(extra), event_(extra) {
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    void* lane = nullptr;
    if (table().lane_create != nullptr) {
      stage("making a lane");
      Guarded<lemonade_error_t> error(extra_);
      const auto status = table().lane_create(self(), worker, &lane, error.get());
      if (status != LEMONADE_OK) {
        requireError(entry_, status, *error.get());
        throw Fault{"it makes no lane: " + describe(*error.get())};
      }
    }
    lanes_.push_back(lane);
  }
}

StrategyRun::~StrategyRun() {
  release();
  stage("ending a lane");
  if (table().lane_destroy != nullptr)
    for (void* lane : lanes_) table().lane_destroy(self(), lane);
}

void StrategyRun::release() noexcept {
  if (prepared_ == nullptr) return;
  stage("releasing what it prepared");
  table().release(self(), prepared_);
  prepared_ = nullptr;
}

void StrategyRun::showUnprepared(Scene& scene) {
  release();
  scene.giveOptions(table());
  scene_ = &scene;
}

void StrategyRun::show(Scene& scene) {
  showUnprepared(scene);
  if (table().prepare == nullptr) return;
  stage("preparing");
  Guarded<lemonade_error_t> error(extra_);
  const auto status = table().prepare(self(), &scene.view(), &prepared_, error.get());
  if (status == LEMONADE_OK) return;
  prepared_ = nullptr;
  requireError(entry_, status, *error.get());
  throw Fault{"it cannot prepare " + std::to_string(scene.size()) + " backends: " + describe(*error.get()),
              "bear every view in prepare: a view that cannot be prepared is one that it cannot pick from"};
}

std::uint32_t StrategyRun::pick(std::uint64_t random, const std::vector<std::uint32_t>& tried, std::uint32_t worker) {
  auto& connection = *connection_.get();
  connection.attempt = tried.empty() ? 0 : 1;
  connection.now_ns = nowNs();
  connection.random = random;
  connection.client_family = LEMONADE_FAMILY_IPV4;
  connection.client_address[10] = connection.client_address[11] = 0xff;
  std::memcpy(connection.client_address + 12, &random, 4);
  connection.client_port = static_cast<std::uint16_t>(random >> 32);
  connection.local_port = 80;
  connection.tried = tried.data();
  connection.tried_count = static_cast<std::uint32_t>(tried.size());
  connection.worker = worker;
  if (!host_is_1_0) {
    connection.listener = str("default");
    if (needsLocalAddress(table())) {
      connection.local_family = LEMONADE_FAMILY_IPV4;
      std::copy(std::begin(kLocalAddress), std::end(kLocalAddress), connection.local_address);
    }
  }
  cookie_ = 0;
  stage("picking");
  return table().pick(self(), lanes_[worker], prepared_, &connection, &scene_->view(), &cookie_);
}

std::uint32_t StrategyRun::usablePick(std::uint64_t random, const std::vector<std::uint32_t>& tried) {
  const auto index = pick(random, tried);
  if (index == LEMONADE_PICK_NONE || index == LEMONADE_PICK_REJECT) return index;
  const std::string answer =
      "it answers " + std::to_string(index) + " of " + std::to_string(scene_->size()) + " backends";
  require(index < scene_->size(), answer);
  require(scene_->eligible(index), answer + ", which may not be picked");
  return index;
}

void StrategyRun::tell(std::uint64_t identity, bool foreign, std::uint64_t cookie, std::uint32_t worker) {
  for (std::uint32_t type = LEMONADE_EVENT_CONNECTED; type <= LEMONADE_EVENT_ABANDONED; type <<= 1) {
    if ((table().events & type) == 0) continue;
    const bool failure = type == LEMONADE_EVENT_CONNECT_FAILED || type == LEMONADE_EVENT_ERROR;
    event_->type = type;
    event_->backend_identity = identity;
    event_->cookie = cookie;
    event_->now_ns = nowNs();
    event_->value_ns = 1'000'000;
    event_->error = failure ? ECONNREFUSED : 0;
    event_->foreign = foreign ? 1 : 0;
    stage("hearing of an event");
    table().event(self(), lanes_[worker], event_.get());
  }
}

std::vector<BackendSpec> mixed(std::size_t count) {
  auto specs = equals(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (i % 7 == 3) specs[i].healthy = false;
    if (i % 11 == 5) specs[i].weight = 0;
    if (i % 5 == 4) specs[i].weight = 1'000'000;
  }
  return specs;
}

std::uint64_t scrambled(std::uint64_t seed, std::uint64_t place) noexcept {
  return splitmix64(seed * kSplitmix64Step + (place + 1) * 0xbf58476d1ce4e5b9);
}

}  // namespace lemonade::validate
