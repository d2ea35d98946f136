// SPDX-License-Identifier: MIT
#include "process/descriptor_keeper.h"

#include "base/log.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

namespace lemonade {

namespace {

using namespace std::chrono_literals;
constexpr Duration kEvery = 1s;
// Free ones beside the spare ones and those that are expected, for everything else.
constexpr std::uint64_t kFewest = 4;
constexpr std::uint64_t kComplainEvery = 10'000'000'000;

}  // namespace

DescriptorKeeper::DescriptorKeeper(ControlLoop& loop, std::uint64_t open, Sessions sessions)
    : loop_(loop), open_(open), sessions_(std::move(sessions)) {}

void DescriptorKeeper::configure(const config::Config& config) {
  config_ = config;
  share();
  if (timer_ == 0) timer_ = loop_.every(kEvery, [this] { look(); });
}

void DescriptorKeeper::stop() {
  loop_.cancel(std::exchange(timer_, 0));
  spare_.clear();
}

void DescriptorKeeper::expect(std::uint64_t count) {
  expected_ = count;
  if (timer_ != 0) look();
}

void DescriptorKeeper::look() {
  followLimit();
  if (!short_of_ && !canOpen(spare_.empty() ? 1 : expected_ + kFewest)) return giveUp();
  if (!short_of_ || !refill()) return;
  short_of_ = false;
  sessions_.holdTo(budget_.sessions);
  log::info("app", "there are descriptors again", {{"limit", budget_.limit}, {"max_connections", budget_.sessions}});
}

void DescriptorKeeper::share() {
  budget_ = shareOut(config_, open_, descriptorLimit());
  if (short_of_) return;
  sessions_.holdTo(budget_.sessions);
  if (!refill()) giveUp();
}

// Somebody has changed it (prlimit).
void DescriptorKeeper::followLimit() {
  if (descriptorLimit() == budget_.limit) return;
  share();
  log::warning("app", "the descriptor limit has changed",
               {{"limit", budget_.limit},
                {"reserve", budget_.reserve},
                {"max_connections", budget_.sessions},
                {"sessions", sessions_.count()}});
}

/// True where all spare ones are there, and those that are expected and a few more could be had.
bool DescriptorKeeper::refill() {
  spare_.resize(std::min<std::size_t>(spare_.size(), budget_.spare));
  while (spare_.size() < budget_.spare)
    if (Fd one(::eventfd(0, EFD_CLOEXEC)); one)
      spare_.push_back(std::move(one));
    else
      return spare_.clear(), false;
  if (canOpen(spare_.empty() ? 1 : expected_ + kFewest)) return true;
  spare_.clear();
  return false;
}

void DescriptorKeeper::giveUp() {
  short_of_ = true;
  spare_.clear();
  sessions_.holdToPresent();
  const std::uint64_t at = nowNs();
  if (complained_at_ != 0 && at - complained_at_ < kComplainEvery) return;
  complained_at_ = at;
  log::error("app",
             "out of descriptors, no more clients are let in than there are; raise the limit (ulimit -n, LimitNOFILE)",
             {{"limit", budget_.limit}, {"sessions", sessions_.count()}});
}

}  // namespace lemonade
