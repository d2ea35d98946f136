// SPDX-License-Identifier: MIT
//
// The queues and the thread of one sink.
#include "metrics/sink.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/seconds.h"
#include "plugin/guard_slot.h"
#include "plugin/guarded_thread.h"
#include "plugin/text.h"

namespace lemonade::metrics {

namespace {

/// Far above what 10,000 backends fill; a sink that writes on for ever is cut off.
constexpr std::size_t kMaxRendered = std::size_t{512} << 20;
constexpr std::size_t kMaxContentType = 256;

lemonade_status_t appendTo(void* context, const void* data, std::uint64_t size) noexcept {
  auto& body = *static_cast<std::string*>(context);
  const std::size_t before = body.size();
  if (size > kMaxRendered - before) return LEMONADE_ERROR_LIMIT;
  try {
    const plugin::HostService service;  // the allocator
    body.resize(before + size);
  } catch (const std::exception&) {
    return LEMONADE_ERROR_NO_MEMORY;
  }
  // Where data leads nowhere that is the plugin's fault, which can be survived.
  if (size != 0) std::memcpy(body.data() + before, data, size);
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
  if (!pushes() || isBroken()) return;
  look();
  const std::lock_guard lock(mutex_);
  if (closing_) return;
  queued_series_ += snapshot->seriesCount();
  snapshots_.push_back({std::move(snapshot)});
  if (call_.overran) dropSnapshots(0);
  while (queued_series_ > limits_.metrics_cap && snapshots_.size() > 1) dropSnapshots(snapshots_.size() - 1);
  changed_.notify_all();
}

void Sink::push(HealthEvent event) {
  if (!hearsHealth() || isBroken()) return;
  look();
  const std::lock_guard lock(mutex_);
  if (closing_) return;
  events_.push_back({std::move(event)});
  while (events_.size() > std::max<std::size_t>(1, limits_.health_cap)) {
    ++counters_->dropped_health_events;
    events_.pop_front();
  }
  changed_.notify_all();
}

void Sink::push(std::shared_ptr<const SessionBatch> batch) {
  if (!takesRecords() || isBroken()) return;
  look();
  const std::lock_guard lock(mutex_);
  if (closing_) return;
  queued_records_ += batch->size();
  batches_.push_back({std::move(batch)});
  while (queued_records_ > limits_.records_cap && batches_.size() > 1) dropBatch();
  changed_.notify_all();
}

void Sink::dropSnapshots(std::size_t keep) noexcept {
  for (; snapshots_.size() > keep; snapshots_.pop_front()) {
    queued_series_ -= snapshots_.front().what->seriesCount();
    counters_->dropped_series += snapshots_.front().what->seriesCount();
  }
}

void Sink::dropBatch() noexcept {
  const std::size_t records = batches_.front().what->size();
  queued_records_ -= records;
  counters_->dropped_records += records;
  dropped_untold_ += records;
  batches_.pop_front();
}

void Sink::dropOld(std::uint64_t now_ns) noexcept {
  const std::uint64_t oldest = now_ns - std::min(now_ns, ns(limits_.interval) * limits_.age_cap);
  while (!snapshots_.empty() && snapshots_.front().since_ns < oldest) dropSnapshots(snapshots_.size() - 1);
  while (!batches_.empty() && batches_.front().since_ns < oldest) dropBatch();
  for (; !events_.empty() && events_.front().since_ns < oldest; events_.pop_front()) ++counters_->dropped_health_events;
}

/// True where it has just been found that the call under way is late.
bool Sink::noteOverrun(std::uint64_t now_ns) noexcept {
  if (closing_ || call_.overran || !call_.isLate(now_ns)) return false;
  call_.overran = true;
  ++counters_->overruns;
  dropSnapshots(0);
  return true;
}

void Sink::look() {
  const std::uint64_t now = nowNs();
  CallUnderWay late;
  {
    const std::lock_guard lock(mutex_);
    if (!closing_) dropOld(now);
    if (!noteOverrun(now)) return;
    late = call_;
  }
  log::warning("metrics", "sink overruns its deadline, it gets no snapshot until it is back",
               {{"sink", id_}, {"function", late.function}, {"for", secondsText(now - late.began_ns)}});
}

void Sink::noteDropped(std::uint64_t records) {
  if (!takesRecords()) return;
  counters_->dropped_records += records;
  const std::lock_guard lock(mutex_);
  dropped_untold_ += records;
}

void Sink::push(std::shared_ptr<Reopening> reopening) {
  if (!reopens() || isBroken()) return;
  const std::lock_guard lock(mutex_);
  if (closing_ || isBroken()) return;
  reopenings_.push_back(std::move(reopening));
  changed_.notify_all();
}

void Sink::run() {
  const plugin::GuardedThread guarded("sink " + id_);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] {
      return closing_ || isBroken() || !reopenings_.empty() || !events_.empty() || !batches_.empty() ||
             !snapshots_.empty();
    });
    const bool over = closing_ && nowNs() >= close_deadline_ns_;
    if (over || isBroken() || !deliverNext(lock)) break;
  }
  // What waits now is lost.
  counters_->dropped_records += std::exchange(queued_records_, 0);
  batches_.clear();
  counters_->dropped_series += std::exchange(queued_series_, 0);
  snapshots_.clear();
  counters_->dropped_health_events += events_.size();
  events_.clear();
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
  if (!closing_) dropOld(nowNs());
  const std::uint64_t deadline_ns = deadline();
  if (!reopenings_.empty()) {
    const auto reopening = take(reopenings_);
    begin("reopen", deadline_ns);
    lock.unlock();
    deliver(*reopening);
  } else if (!events_.empty()) {
    const auto event = take(events_).what;
    begin("health_event", deadline_ns);
    lock.unlock();
    deliver(event);
  } else if (!batches_.empty()) {
    const auto batch = take(batches_).what;
    queued_records_ -= batch->size();
    const std::uint64_t dropped = std::exchange(dropped_untold_, 0);
    begin("session_records", deadline_ns);
    lock.unlock();
    deliver(*batch, dropped, deadline_ns);
  } else if (!snapshots_.empty()) {
    const auto snapshot = take(snapshots_).what;
    queued_series_ -= snapshot->seriesCount();
    begin("flush", deadline_ns);
    lock.unlock();
    deliver(*snapshot, deadline_ns);
  } else {
    // All of it had waited for too long.
    return !closing_;
  }
  lock.lock();
  end(lock);
  return true;
}

void Sink::begin(const char* function, std::uint64_t deadline_ns) noexcept {
  const std::uint64_t now = nowNs();
  call_ = {.function = function, .began_ns = now, .deadline_ns = deadline_ns};
  // It hangs only beyond what it was told that it may take.
  plugin::t_guard_slot->allowed_ns.store(deadline_ns - std::min(now, deadline_ns), std::memory_order_relaxed);
}

void Sink::end(std::unique_lock<std::mutex>& lock) {
  const std::uint64_t now = nowNs();
  (void)noteOverrun(now);  // where nobody has looked meanwhile
  const auto ended = std::exchange(call_, {});
  if (!ended.overran || isBroken()) return;
  lock.unlock();
  log::warning("metrics", "sink is back from a call that overran its deadline",
               {{"sink", id_}, {"function", ended.function}, {"after", secondsText(now - ended.began_ns)}});
  lock.lock();
}

/// False where the call was broken off: nothing is called from then on.
template <class Call>
bool Sink::call(plugin::Function function, Call&& call) {
  if (handle_->guard().call(function, std::forward<Call>(call))) return true;
  takeOut();
  return false;
}

void Sink::takeOut() {
  if (broken_.exchange(true)) return;
  const auto& info = handle_->info();
  log::error("metrics", "the sink is called no more, nothing is told to it until it is replaced",
             {{"sink", id_}, {"version", info.version}, {"file", info.file}});
  const std::lock_guard lock(mutex_);
  changed_.notify_all();  // its thread ends
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
  (void)call(plugin::Function::kHealthEvent, [&] { table().health_event(handle_->self(), &raw); });
}

void Sink::deliver(const Snapshot& snapshot, std::uint64_t deadline_ns) noexcept try {
  auto error = plugin::emptyError();
  lemonade_status_t status = LEMONADE_OK;
  if (call(plugin::Function::kFlush,
           [&] { status = table().flush(handle_->self(), &snapshot.raw(), deadline_ns, &error); }) &&
      status != LEMONADE_OK)
    failed(plugin::describe(error));
} catch (const std::bad_alloc&) {
  ++counters_->errors;
}

void Sink::deliver(const SessionBatch& batch, std::uint64_t dropped, std::uint64_t deadline_ns) noexcept try {
  const auto raw = batch.raw(dropped);
  auto error = plugin::emptyError();
  lemonade_status_t status = LEMONADE_OK;
  if (call(plugin::Function::kSessionRecords,
           [&] { status = table().session_records(handle_->self(), &raw, deadline_ns, &error); }) &&
      status != LEMONADE_OK)
    failed(plugin::describe(error));
} catch (const std::bad_alloc&) {
  ++counters_->errors;
}

void Sink::deliver(Reopening& reopening) {
  auto error = plugin::emptyError();
  lemonade_status_t status = LEMONADE_OK;
  if (!call(plugin::Function::kReopen, [&] { status = table().reopen(handle_->self(), &error); }))
    reopening.failed("metrics sink " + id_ + ": its call was broken off");
  else if (status == LEMONADE_OK)
    reopening.succeeded();
  else
    reopening.failed("metrics sink " + id_ + ": " + plugin::describe(error));
}

/// With the mutex; "" where nothing is in the way.
std::string Sink::whyNotRendering(std::uint64_t now_ns) const {
  if (isBroken()) return "is called no more: a call of it was broken off";
  if (!handle_) return "has been stopped";
  if (rendering_ == 0 || now_ns - render_moved_ns_ <= ns(limits_.render_limit)) return "";
  return "hangs: an earlier request has waited for " + secondsText(now_ns - render_moved_ns_);
}

bool Sink::answers() {
  const std::lock_guard lock(mutex_);
  return whyNotRendering(nowNs()).empty();
}

Result<Rendered> Sink::render(const Snapshot& snapshot, std::string_view accept) {
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t now = nowNs();
    if (const auto why = whyNotRendering(now); !why.empty()) return Error{"metrics sink " + id_ + " " + why};
    if (rendering_++ == 0) render_moved_ns_ = now;
  }
  struct Rendering {
    Sink& sink;
    ~Rendering() {
      const std::lock_guard lock(sink.mutex_);
      --sink.rendering_;
      sink.render_moved_ns_ = nowNs();
      sink.changed_.notify_all();
    }
  };
  const Rendering rendering{*this};
  const plugin::GuardedThread guarded("render " + id_);
  return renderNow(snapshot, accept);
}

Result<Rendered> Sink::renderNow(const Snapshot& snapshot, std::string_view accept) {
  const Error broken_off{"metrics sink " + id_ + ": its call was broken off"};
  Rendered rendered;
  // Copied within the call: what a broken sink points to need not be there.
  std::array<char, kMaxContentType> type;
  std::size_t type_size = 0;
  if (!call(plugin::Function::kContentType, [&] {
        const auto said = table().content_type(handle_->self(), plugin::str(accept));
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(said.size, type.size()));
        if (size != 0) std::memcpy(type.data(), said.data, size);
        type_size = size;
      }))
    return broken_off;
  rendered.content_type.assign(type.data(), type_size);
  lemonade_writer_t writer{};
  writer.struct_size = sizeof(writer);
  writer.context = &rendered.body;
  writer.write = appendTo;
  auto error = plugin::emptyError();
  lemonade_status_t status = LEMONADE_OK;
  if (!call(plugin::Function::kRender,
            [&] { status = table().render(handle_->self(), &snapshot.raw(), plugin::str(accept), &writer, &error); }))
    return broken_off;
  if (status == LEMONADE_OK) return rendered;
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
