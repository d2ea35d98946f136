// SPDX-License-Identifier: MIT
#include "health/checks.h"

#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/seconds.h"
#include "plugin/guarded_thread.h"

#include <pthread.h>

#include <algorithm>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

namespace lemonade::health {
namespace {

/// The checker of a step; null where no errand has it any more.
std::shared_ptr<const Checker> checkerOf(const Prober& prober, const Prober::Step& step) {
  for (const auto& [key, errand] : prober.underWay())
    if (errand->checker != nullptr && errand->checker.get() == step.checker) return errand->checker;
  return nullptr;
}

void logLeft(const Checker& checker, std::uint64_t since_ns, std::uint64_t now_ns) {
  log::error("health", "a health checker hangs, it is left behind with its thread and called no more",
             {{"checker", checker.info().id},
              {"version", checker.info().version},
              {"file", checker.info().file},
              {"for", secondsText(now_ns - since_ns)}});
}

}  // namespace

void Checks::startThread(const std::shared_ptr<Prober>& prober) {
  // Detached, because a thread that hangs in a checker cannot be joined; awaitEnd() waits for one that does not.
  std::thread([prober] {
    (void)::pthread_setname_np(::pthread_self(), "checks");
    {
      const plugin::GuardedThread guarded("checks");
      while (prober->turn(true)) {
      }
    }
    prober->over();
  }).detach();
}

Checks::Checks(ControlLoop& loop, Start start) : loop_(loop), start_(std::move(start)) {}

Checks::~Checks() = default;

void Checks::begin(const std::shared_ptr<Errand>& errand) {
  if (prober_ == nullptr) use(std::make_shared<Prober>(loop_.clock()));
  prober_->begin(errand);
}

void Checks::limit(Errand& errand, Duration timeout) noexcept {
  errand.timeout.store(timeout);
  if (prober_ != nullptr) prober_->lookAgain();
}

void Checks::cancel(Errand& errand) noexcept {
  errand.owner = nullptr;
  errand.cancelled.store(true);
  if (prober_ != nullptr) prober_->lookAgain();
}

void Checks::use(std::shared_ptr<Prober> prober) {
  start_(prober);
  loop_.watch(prober->fd(), [this, raw = prober.get()] {
    raw->takeReturned();
    lookAtThoseLeft();
  });
  prober_ = std::move(prober);
}

bool Checks::look() try {
  lookAtThoseLeft();
  if (prober_ == nullptr || patience_ == Duration::zero()) return false;
  const auto step = prober_->step();
  if (step.since_ns == 0 || loop_.clock().nowNs() < step.since_ns + ns(patience_)) return false;
  leaveBehind(step);
  return true;
} catch (const std::system_error&) {
  return false;  // no descriptor or thread is free: it is tried again
} catch (const std::bad_alloc&) {
  return false;
}

void Checks::leaveBehind(const Prober::Step& step) {
  const auto left = prober_;
  left_.reserve(left_.size() + 1);
  std::vector<std::shared_ptr<Errand>> lost;
  for (const auto& [key, errand] : left->underWay()) lost.push_back(errand);
  const auto checker = checkerOf(*left, step);
  use(std::make_shared<Prober>(loop_.clock()));
  left->abandon();
  left_.push_back(left);
  if (checker != nullptr) {
    checker->guard().breakFor(plugin::FaultKind::kHang);
    logLeft(*checker, step.since_ns, loop_.clock().nowNs());
  }
  for (const auto& errand : lost) {
    errand->cancelled.store(true);
    if (auto* const owner = std::exchange(errand->owner, nullptr); owner != nullptr) owner->lost();
  }
}

/// What a thread that is over now has not ended, the present one ends, or this one where no other is left.
void Checks::lookAtThoseLeft() {
  for (std::size_t i = 0; i < left_.size();) {
    const auto left = left_[i];
    if (!left->awaitEnd(Duration::zero())) {
      ++i;
      continue;
    }
    left->takeReturned();
    prober_ != nullptr ? left->handOver(*prober_) : left->endHere();
    loop_.unwatch(left->fd());
    left_.erase(left_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

bool Checks::stop(Duration at_most) {
  stopped_ = true;
  if (prober_ != nullptr) {
    prober_->stop();
    (void)prober_->awaitEnd(at_most);
    left_.push_back(std::exchange(prober_, nullptr));
  }
  lookAtThoseLeft();
  for (const auto& left : left_) {
    loop_.unwatch(left->fd());
    static auto& hanging = *new std::vector<std::shared_ptr<Prober>>;  // never destroyed: their threads may come back
    hanging.push_back(left);
    const auto checker = checkerOf(*left, left->step());
    log::warning("health", "a health checker hangs and is left behind",
                 {{"checker", checker != nullptr ? checker->info().id : ""}});
  }
  return std::exchange(left_, {}).empty();
}

}  // namespace lemonade::health
