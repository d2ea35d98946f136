// SPDX-License-Identifier: MIT
//
// What goes on between a balancer and its supervisor: which sockets are held, and how it gives way to the process that
// follows it.
#include "admin/server.h"
#include "app/kernel_forwarding.h"
#include "app/load_balancer.h"
#include "app/parent.h"
#include "base/log.h"
#include "observe/events.h"
#include "observe/reloads.h"
#include "proxy/proxy.h"
#include "upgrade/handing_over.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace lemonade::app {

void LoadBalancer::holdSockets() {
  std::vector<std::pair<std::string, int>> sockets;
  for (const auto& socket : proxy_->sockets()) sockets.emplace_back(socket->handedAs(), socket->fd());
  if (admin_ != nullptr)
    for (const auto& socket : admin_->sockets()) sockets.emplace_back(socket->handedAs(), socket->fd());
  service_manager_.keep(sockets);
  if (!parent_.supervisor.hold(sockets))
    log::warning("app", "the supervisor cannot hold the sockets: an upgrade would open them anew",
                 {{"sockets", sockets.size()}});
}

void LoadBalancer::hearSupervisor() {
  supervisor::Message message;
  for (;;) switch (parent_.supervisor.receive(message)) {
      case supervisor::Received::kNothing:
        return;
      case supervisor::Received::kEnd:
        loop_.unwatch(parent_.supervisor.fd());
        if (stage_.load() == Stage::kDraining) return;
        log::error("app", "the supervisor has died, stopping");
        orphaned_ = true;
        if (admin_ != nullptr) admin_->retire();  // its address is wanted by the one that is started next
        return leaveNow();
      case supervisor::Received::kMessage:
        heed(message);
    }
}

void LoadBalancer::heed(supervisor::Message& message) {
  if (message.what == supervisor::kDrain) giveWay();
  if (message.what == supervisor::kHandOver && !message.descriptors.empty())
    handOver(std::move(message.descriptors.front()));
  if (message.what == supervisor::kUpgradeFailed) noteFailedUpgrade(message.about);
  if (message.what == supervisor::kDeaths) noteDeaths(message.about);
}

// What a process is told with its start is known before anybody can ask for it.
void LoadBalancer::hearFirstWord() {
  supervisor::Message message;
  if (parent_.supervisor.exists() && parent_.supervisor.receive(message) == supervisor::Received::kMessage)
    heed(message);
}

void LoadBalancer::noteFailedUpgrade(const std::string& why) {
  proxy_->reassert();
  kernel_->reassert();
  happened({.kind = EventKind::kUpgradeFailed, .text = "an upgrade has failed: " + why, .fields = {{"reason", why}}});
  const std::lock_guard lock(facts_mutex_);
  ++failed_upgrades_;
  upgrade_failure_ = why;
}

void LoadBalancer::noteDeaths(const std::string& about) {
  const std::size_t line = std::min(about.find('\n'), about.size());
  std::uint64_t count = 0;
  (void)std::from_chars(about.data(), about.data() + line, count);
  const std::string how = about.substr(std::min(line + 1, about.size()));
  if (!upgraded_)  // otherwise the one that this one follows has told of it
    happened({.kind = EventKind::kDied, .text = "the process before died: " + how, .fields = {{"reason", how}}});
  const std::lock_guard lock(facts_mutex_);
  deaths_ = count;
  last_death_ = how;
}

// Another process accepts on the same sockets now. The rest is a stop like any other, with its bounds.
void LoadBalancer::giveWay() {
  gave_way_ = true;
  kernel_->giveWay();
  if (successor_) (void)supervisor::send(successor_.get(), kGaveWay);
  happened({.kind = EventKind::kHandedOver, .text = "another process has taken over and accepts the clients"});
  service_manager_.yieldToSuccessor();
  leaveNames();
  if (admin_ != nullptr) admin_->retire();
  tellSuccessor();
  leaveNow();
}

}  // namespace lemonade::app
