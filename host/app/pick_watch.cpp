// SPDX-License-Identifier: MIT
#include "app/pick_watch.h"

#include "balance/pool.h"
#include "base/nanoseconds.h"

#include <chrono>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;
constexpr Duration kKept = 5min;

}  // namespace

void PickWatch::begin(Duration lasting) {
  end();
  auto recorder = std::make_shared<PickRecorder>(pool_.workers(), loop_.clock().nowNs() + ns(lasting));
  pool_.setRecorder(recorder);
  timer_ = loop_.after(lasting, [this] { stop(); });
  const std::lock_guard lock(mutex_);
  recorder_ = std::move(recorder);
  strategy_ = pool_.strategy() != nullptr ? pool_.strategy()->info().id : "";
  until_unix_ns_ = unixNs() + ns(lasting);
  recording_ = true;
}

void PickWatch::stop() {
  pool_.setRecorder(nullptr);
  timer_ = loop_.after(kKept, [this] { end(); });
  const std::lock_guard lock(mutex_);
  recording_ = false;
}

void PickWatch::end() {
  loop_.cancel(std::exchange(timer_, 0));
  pool_.setRecorder(nullptr);
  const std::lock_guard lock(mutex_);
  recorder_.reset();
  until_unix_ns_ = 0;
  recording_ = false;
}

PickWatch::Seen PickWatch::seen() const {
  std::shared_ptr<PickRecorder> recorder;
  Seen seen;
  {
    const std::lock_guard lock(mutex_);
    recorder = recorder_;
    seen.strategy = strategy_;
    seen.recording = recording_;
    seen.until_unix_ns = until_unix_ns_;
  }
  if (recorder != nullptr) seen.records = recorder->records();
  return seen;
}

}  // namespace lemonade::app
