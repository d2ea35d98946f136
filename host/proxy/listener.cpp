// SPDX-License-Identifier: MIT
#include "proxy/listener.h"

#include "base/log.h"
#include "base/seconds.h"

#include <utility>

namespace lemonade::proxy {

namespace {

/// So long there must be room for clients, before that is believed.
constexpr std::uint64_t kRoomFor = 1'000'000'000;

}  // namespace

Listener::Listener(const ListenerSpec& spec, std::uint32_t workers, Wake wake)
    : pool_(spec.pool),
      name_(spec.config->name),
      wake_(std::move(wake)),
      max_connections_(spec.config->max_connections),
      admission_(spec.config->max_connections) {
  at_workers_.grow(workers);
  admission_.onRoom([this] { offerRoom(); });
  apply(spec);
}

void Listener::apply(const ListenerSpec& spec) noexcept {
  settings_.apply(*spec.config);
  reads_headers_.store(spec.config->accept_proxy != config::AcceptProxy::kOff, std::memory_order_relaxed);
  by_kernel_.store(spec.config->forward == config::Forward::kKernel, std::memory_order_relaxed);
  {
    const std::lock_guard lock(config_mutex_);
    config_ = spec.config;
  }
  pool_.store(spec.pool, std::memory_order_release);
}

std::vector<const ListenerCounters*> Listener::counters() const {
  std::vector<const ListenerCounters*> counters;
  for (std::uint32_t i = 0; i < at_workers_.size(); ++i) counters.push_back(&at_workers_[i].counters);
  return counters;
}

// To one of the workers that want it, in turn. A worker that takes it and finds no client waiting gives it back: it
// goes to the next one.
void Listener::offerRoom() noexcept {
  const std::uint32_t first = next_offered_.fetch_add(1, std::memory_order_relaxed);
  const std::uint32_t count = at_workers_.size();  // which a reload may raise
  for (std::uint32_t n = 0; n < count; ++n)
    if (const std::uint32_t worker = (first + n) % count; at_workers_[worker].wants_room.exchange(false))
      return wake_(worker);
}

// Under a load that is near the limit all the time, that is one time and not many. Between two looks it counts as it
// was found, which comes to the right share of the time also where it changes often.
void Listener::watchLimit(std::uint64_t now) {
  const std::uint64_t since = admission_.fullSince();
  const bool reached = !admission_.hasRoom();
  if (looked_full_ns_ != 0 && now > looked_full_ns_) full_ns_.add(now - looked_full_ns_);
  looked_full_ns_ = reached ? now : 0;
  if (since == 0 || reached) {
    room_since_ns_ = 0;
    return;
  }
  if (room_since_ns_ <= admission_.lastFull()) room_since_ns_ = now;
  if (now - room_since_ns_ < kRoomFor) return;
  std::uint64_t waited = 0;
  for (const auto* counters : this->counters()) waited += counters->waited.value();
  log::info("proxy", "max_connections is no longer reached",
            {{"listener", name_},
             {"for", secondsText(room_since_ns_ - since)},
             {"waited", waited - std::exchange(waited_before_, waited)}});
  admission_.settle();
}

}  // namespace lemonade::proxy
