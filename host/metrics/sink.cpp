// SPDX-License-Identifier: MIT
//
// The queues and the thread of one sink.
#include "metrics/sink.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "base/log.h"
#include "plugin/text.h"

namespace lemonade::metrics {

namespace {

/// Far above what 10,000 backends fill; a sink that writes on for ever is cut off.
constexpr std::size_t kMaxRendered = std::size_t{512} << 20;

lemonade_status_t appendTo(void* context, const void* data, std::uint64_t size) noexcept {
  auto& body = *static_cast<std::string*>(context);
  if (size > kMaxRendered - body.size()) return LEMONADE_ERROR_LIMIT;
  try {
    body.append(static_cast<const char*>(data), size);
  } catch (const std::exception&) {
    return LEMONADE_ERROR_NO_MEMORY;
  }
  return LEMONADE_OK;
}

std::chrono::steady_clock::time_point timePoint(std::uint64_t ns) {
  return std::chrono::steady_clock::time_point(Duration(ns));
}

}  // namespace

void Undertaker::bury(SinkHandle handle) {
  static auto& left_behind = *new std::vector<SinkHandle>;  // never destroyed, and no leak to a leak checker
  const std::lock_guard lock(mutex_);
  std::shared_ptr<SinkHandle> grave;
  try {
    grave = std::make_shared<SinkHandle>();
    std::function<void()> task = [grave] { grave->reset(); };
    if (!post_) return left_behind.push_back(std::move(handle));
    grave->swap(handle);
    post_(std::move(task));
  } catch (const std::bad_alloc&) {
    // Nobody may destroy it here: where there is no memory to hand it on, it stays for ever.
    if (handle == nullptr) grave->swap(handle);
    alignas(SinkHandle) unsigned char forgotten[sizeof(SinkHandle)];
    new (forgotten) SinkHandle(std::move(handle));
  }
}

void Undertaker::close() {
  const std::lock_guard lock(mutex_);
  post_ = nullptr;
}

Reopening::~Reopening() {
  try {
    done_(std::move(outcome_));
  } catch (const std::bad_alloc&) {
    // Whoever asked hears nothing, as where a sink hangs.
  }
}

void Reopening::succeeded() {
  const std::lock_guard lock(mutex_);
  ++outcome_.reopened;
}

void Reopening::failed(std::string problem) {
  const std::lock_guard lock(mutex_);
  outcome_.problems.push_back(std::move(problem));
}

Sink::Sink(SinkHandle handle, const SinkLimits& limits, std::shared_ptr<SinkCounters> counters,
           std::shared_ptr<Undertaker> undertaker)
    : id_(handle->info().id),
      pushes_(handle->table().flush != nullptr),
      hears_health_(handle->table().health_event != nullptr),
      renders_(handle->table().render != nullptr && handle->table().content_type != nullptr),
      takes_records_(LEMONADE_HAS(&handle->table(), lemonade_metrics_sink_t, session_records) &&
                     handle->table().session_records != nullptr),
      reopens_(LEMONADE_HAS(&handle->table(), lemonade_metrics_sink_t, reopen) && handle->table().reopen != nullptr),
      counters_(std::move(counters)),
      undertaker_(std::move(undertaker)),
      handle_(std::move(handle)),
      limits_(limits) {}

Sink::~Sink() {
  if (handle_) undertaker_->bury(std::move(handle_));
}

void Sink::start() {
  if (!pushes() && !hearsHealth() && !takesRecords() && !reopens()) return;
  const std::lock_guard lock(mutex_);
  // Detached, because a thread that hangs in a plugin cannot be joined; awaitEnd() waits for those that do not.
  std::thread thread([self = shared_from_this()]() mutable {
    self->run();
    const auto sink = std::move(self);
    const std::lock_guard ended(sink->mutex_);
    sink->running_ = false;
    sink->changed_.notify_all();
  });
  running_ = true;
  thread.detach();
}

void Sink::configure(const SinkLimits& limits) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
}

void Sink::close(std::uint64_t deadline_ns) {
  const std::lock_guard lock(mutex_);
  closing_ = true;
  close_deadline_ns_ = deadline_ns;
  changed_.notify_all();
}

bool Sink::awaitEnd(std::uint64_t deadline_ns) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, timePoint(deadline_ns), [&] { return idle(); });
}

bool Sink::release() {
  SinkHandle handle;
  const std::lock_guard lock(mutex_);
  if (idle()) handle = std::move(handle_);
  return idle();
}

void Sink::push(std::shared_ptr<const Snapshot> snapshot) {
  if (!pushes()) return;
  const std::lock_guard lock(mutex_);
  if (closing_) return;
  queued_series_ += snapshot->seriesCount();
  snapshots_.push_back(std::move(snapshot));
  while (queued_series_ > limits_.metrics_cap && snapshots_.size() > 1) {
    queued_series_ -= snapshots_.front()->seriesCount();
    counters_->dropped_series += snapshots_.front()->seriesCount();
    snapshots_.pop_front();
  }
  changed_.notify_all();
}

void Sink::push(HealthEvent event) {
  if (!hearsHealth()) return;
  const std::lock_guard lock(mutex_);
  if (closing_) return;
  events_.push_back(std::move(event));
  while (events_.size() > std::max<std::size_t>(1, limits_.health_cap)) {
    ++counters_->dropped_health_events;
    events_.pop_front();
  }
  changed_.notify_all();
}

void Sink::push(std::shared_ptr<const SessionBatch> batch) {
  if (!takesRecords()) return;
  const std::lock_guard lock(mutex_);
  if (closing_) return;
  queued_records_ += batch->size();
  batches_.push_back(std::move(batch));
  while (queued_records_ > limits_.records_cap && batches_.size() > 1) {
    const std::size_t records = batches_.front()->size();
    queued_records_ -= records;
    counters_->dropped_records += records;
    dropped_untold_ += records;
    batches_.pop_front();
  }
  changed_.notify_all();
}

void Sink::noteDropped(std::uint64_t records) {
  if (!takesRecords()) return;
  counters_->dropped_records += records;
  const std::lock_guard lock(mutex_);
  dropped_untold_ += records;
}

void Sink::push(std::shared_ptr<Reopening> reopening) {
  if (!reopens()) return;
  const std::lock_guard lock(mutex_);
  if (closing_) return;
  reopenings_.push_back(std::move(reopening));
  changed_.notify_all();
}

void Sink::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] {
      return closing_ || !reopenings_.empty() || !events_.empty() || !batches_.empty() || !snapshots_.empty();
    });
    const bool over = closing_ && nowNs() >= close_deadline_ns_;
    if (over || !deliverNext(lock)) break;
  }
  counters_->dropped_records += queued_records_;
  reopenings_.clear();
}

std::uint64_t Sink::deadline() const noexcept {
  return closing_ ? close_deadline_ns_ : nowNs() + static_cast<std::uint64_t>(limits_.interval.count());
}

// False where nothing waits. The lock is free while the plugin is called.
bool Sink::deliverNext(std::unique_lock<std::mutex>& lock) {
  const auto take = [](auto& queue) {
    auto first = std::move(queue.front());
    queue.pop_front();
    return first;
  };
  const std::uint64_t deadline_ns = deadline();
  if (!reopenings_.empty()) {
    const auto reopening = take(reopenings_);
    lock.unlock();
    deliver(*reopening);
  } else if (!events_.empty()) {
    const auto event = take(events_);
    lock.unlock();
    deliver(event);
  } else if (!batches_.empty()) {
    const auto batch = take(batches_);
    queued_records_ -= batch->size();
    const std::uint64_t dropped = std::exchange(dropped_untold_, 0);
    lock.unlock();
    deliver(*batch, dropped, deadline_ns);
  } else if (!snapshots_.empty()) {
    const auto snapshot = take(snapshots_);
    queued_series_ -= snapshot->seriesCount();
    lock.unlock();
    deliver(*snapshot, deadline_ns);
  } else {
    return false;
  }
  lock.lock();
  return true;
}

void Sink::deliver(const HealthEvent& event) {
  lemonade_health_event_t raw{};
  raw.struct_size = sizeof(raw);
  raw.state = event.state;
  raw.unix_ns = event.unix_ns;
  raw.identity = event.identity;
  raw.id = plugin::str(event.id);
  raw.name = plugin::str(event.name);
  raw.address = plugin::str(event.address);
  raw.reason = plugin::str(event.reason);
  table().health_event(handle_->self(), &raw);
}

void Sink::deliver(const Snapshot& snapshot, std::uint64_t deadline_ns) noexcept try {
  auto error = plugin::emptyError();
  if (table().flush(handle_->self(), &snapshot.raw(), deadline_ns, &error) != LEMONADE_OK)
    failed(plugin::describe(error));
} catch (const std::bad_alloc&) {
  ++counters_->errors;
}

void Sink::deliver(const SessionBatch& batch, std::uint64_t dropped, std::uint64_t deadline_ns) noexcept try {
  const auto raw = batch.raw(dropped);
  auto error = plugin::emptyError();
  if (table().session_records(handle_->self(), &raw, deadline_ns, &error) != LEMONADE_OK)
    failed(plugin::describe(error));
} catch (const std::bad_alloc&) {
  ++counters_->errors;
}

void Sink::deliver(Reopening& reopening) {
  auto error = plugin::emptyError();
  if (table().reopen(handle_->self(), &error) == LEMONADE_OK)
    reopening.succeeded();
  else
    reopening.failed("metrics sink " + id_ + ": " + plugin::describe(error));
}

Result<Rendered> Sink::render(const Snapshot& snapshot, std::string_view accept) {
  {
    const std::lock_guard lock(mutex_);
    if (!handle_) return Error{"metrics sink " + id_ + " has been stopped"};
    ++rendering_;
  }
  struct Rendering {
    Sink& sink;
    ~Rendering() {
      const std::lock_guard lock(sink.mutex_);
      --sink.rendering_;
      sink.changed_.notify_all();
    }
  };
  const Rendering rendering{*this};
  return renderUnguarded(snapshot, accept);
}

Result<Rendered> Sink::renderUnguarded(const Snapshot& snapshot, std::string_view accept) {
  Rendered rendered;
  const auto type = table().content_type(handle_->self(), plugin::str(accept));
  rendered.content_type.assign(type.data, type.size);
  lemonade_writer_t writer{};
  writer.struct_size = sizeof(writer);
  writer.context = &rendered.body;
  writer.write = appendTo;
  auto error = plugin::emptyError();
  if (table().render(handle_->self(), &snapshot.raw(), plugin::str(accept), &writer, &error) == LEMONADE_OK)
    return rendered;
  const auto what = plugin::describe(error);
  failed(what);
  return Error{"metrics sink " + id_ + ": " + what};
}

void Sink::failed(const std::string& what) {
  ++counters_->errors;
  std::uint64_t unlogged = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto now = nowNs();
    if (error_logged_ns_ != 0 && now - error_logged_ns_ < static_cast<std::uint64_t>(limits_.interval.count())) {
      ++errors_unlogged_;
      return;
    }
    error_logged_ns_ = now;
    unlogged = std::exchange(errors_unlogged_, 0);
  }
  log::warning("metrics", "sink failed", {{"sink", id_}, {"reason", what}, {"unlogged", unlogged}});
}

}  // namespace lemonade::metrics
