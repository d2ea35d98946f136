// SPDX-License-Identifier: MIT
#include "plugin/host_handle.h"

#include "base/clock.h"
#include "base/log.h"
#include "plugin/text.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace lemonade::plugin {

namespace {

constexpr std::uint32_t kMostPosted = 1'024;
constexpr std::size_t kMostTimers = 64;
constexpr std::uint64_t kShortestInterval = 1'000'000;
constexpr std::uint64_t kLongestInterval = std::uint64_t{1} << 62;  // over a century; the clock counts to twice that

log::Level levelOf(std::uint32_t level) {
  if (level <= LEMONADE_LOG_ERROR) return log::Level::kError;
  if (level == LEMONADE_LOG_WARNING) return log::Level::kWarning;
  return level == LEMONADE_LOG_INFO ? log::Level::kInfo : log::Level::kDebug;
}

/// Nothing where the plugin is newer than this host.
std::optional<log::Value> valueOf(const lemonade_log_field_t& field) {
  switch (field.type) {
    case LEMONADE_FIELD_TEXT:
      return log::Value(view(field.text));
    case LEMONADE_FIELD_INTEGER:
      return log::Value(field.integer);
    case LEMONADE_FIELD_NUMBER:
      return log::Value(log::Decimal{field.number, static_cast<int>(std::min(field.places, 17U))});
    case LEMONADE_FIELD_BOOLEAN:
      return log::Value(field.integer != 0);
    default:
      return std::nullopt;
  }
}

}  // namespace

HostHandle& HostHandle::make(std::string plugin_id, ControlLoop& loop, MetricCells& cells, Guard* guard) {
  static std::mutex mutex;
  static auto& handles = *new std::deque<std::unique_ptr<HostHandle>>();  // never destroyed: see the file head
  const std::lock_guard lock(mutex);
  handles.emplace_back(new HostHandle(std::move(plugin_id), loop, cells, guard));
  return *handles.back();
}

HostHandle::HostHandle(std::string plugin_id, ControlLoop& loop, MetricCells& cells, Guard* guard)
    : plugin_id_(std::move(plugin_id)), loop_(loop), cells_(cells), guard_(guard) {
  table_.struct_size = sizeof(table_);
  table_.abi_minor = LEMONADE_ABI_MINOR;
  table_.context = this;
  table_.log = log;
  table_.now_ns = now;
  table_.post = post;
  table_.timer_start = startTimer;
  table_.timer_cancel = cancelTimer;
  table_.register_metric = registerMetric;
  table_.get_extension = extension;
}

void HostHandle::revoke() {
  revoked_.store(true, std::memory_order_release);
  for (const auto& [id, timer] : timers_) loop_.cancel(timer);
  timers_.clear();
}

// The lists of timers belong to the control thread.
bool HostHandle::onControlThread(const char* function) noexcept {
  if (loop_.isCurrent()) return true;
  if (said_thread_.exchange(true, std::memory_order_relaxed)) return false;
  lemonade::log::warning(plugin_id_,
                         "a function of the host that belongs to the control thread was called on another "
                         "one and did nothing; post what calls it",
                         {{"function", function}});
  return false;
}

void HostHandle::callBack(void (*callback)(void*) noexcept, void* user) noexcept {
  if (guard_ == nullptr) return callback(user);
  (void)guard_->call(Function::kCallback, [&] { callback(user); });
}

void HostHandle::log(void* context, std::uint32_t level, lemonade_str_t message) noexcept {
  const HostService service;
  auto& self = of(context);
  if (self.revoked_.load(std::memory_order_acquire)) return;
  try {
    lemonade::log::write(levelOf(level), self.plugin_id_, view(message));
  } catch (...) {
    // A line that cannot be written is lost, as documented.
  }
}

std::uint64_t HostHandle::now(void* context) noexcept {
  return of(context).revoked_.load(std::memory_order_acquire) ? 0 : nowNs();
}

lemonade_status_t HostHandle::post(void* context, void (*callback)(void*) noexcept, void* user) noexcept {
  const HostService service;
  auto& self = of(context);
  if (self.revoked_.load(std::memory_order_acquire)) return LEMONADE_ERROR_RETIRED;
  if (self.posted_.fetch_add(1, std::memory_order_relaxed) >= kMostPosted) {
    self.posted_.fetch_sub(1, std::memory_order_relaxed);
    return LEMONADE_ERROR_LIMIT;
  }
  try {
    self.loop_.post([&self, callback, user] {
      self.posted_.fetch_sub(1, std::memory_order_relaxed);
      if (!self.revoked_.load(std::memory_order_acquire)) self.callBack(callback, user);
    });
    return LEMONADE_OK;
  } catch (...) {
    self.posted_.fetch_sub(1, std::memory_order_relaxed);
    return LEMONADE_ERROR_NO_MEMORY;
  }
}

lemonade_status_t HostHandle::startTimer(void* context, std::uint64_t interval_ns, void (*callback)(void*) noexcept,
                                         void* user, std::uint64_t* timer) noexcept {
  const HostService service;
  auto& self = of(context);
  if (self.revoked_.load(std::memory_order_acquire)) return LEMONADE_ERROR_RETIRED;
  if (!self.onControlThread("timer_start")) return LEMONADE_ERROR_UNSUPPORTED;
  if (self.timers_.size() >= kMostTimers) return LEMONADE_ERROR_LIMIT;
  try {
    const Duration interval(static_cast<std::int64_t>(std::clamp(interval_ns, kShortestInterval, kLongestInterval)));
    const auto id = self.loop_.every(interval, [&self, callback, user] { self.callBack(callback, user); });
    self.timers_.emplace(self.next_timer_, id);
    *timer = self.next_timer_++;
    return LEMONADE_OK;
  } catch (...) {
    return LEMONADE_ERROR_NO_MEMORY;
  }
}

void HostHandle::cancelTimer(void* context, std::uint64_t timer) noexcept {
  const HostService service;
  auto& self = of(context);
  if (self.revoked_.load(std::memory_order_acquire)) return;  // they have ended
  if (!self.onControlThread("timer_cancel")) return;
  const auto found = self.timers_.find(timer);
  if (found == self.timers_.end()) return;
  self.loop_.cancel(found->second);
  self.timers_.erase(found);
}

lemonade_status_t HostHandle::registerMetric(void* context, std::uint32_t type, lemonade_str_t name,
                                             lemonade_str_t help, lemonade_metric_cell_t** cell) noexcept {
  const HostService service;
  auto& self = of(context);
  if (self.revoked_.load(std::memory_order_acquire)) return LEMONADE_ERROR_RETIRED;
  try {
    return self.cells_.find(self.plugin_id_, type, view(name), view(help), cell);
  } catch (...) {
    return LEMONADE_ERROR_NO_MEMORY;
  }
}

const void* HostHandle::extension(void*, lemonade_str_t id) noexcept {
  static constexpr lemonade_log_fields_t kLogFields = {sizeof(lemonade_log_fields_t), 0, writeFields};
  return view(id) == LEMONADE_LOG_FIELDS_EXTENSION ? &kLogFields : nullptr;
}

void HostHandle::writeFields(void* context, std::uint32_t level, lemonade_str_t message,
                             const lemonade_log_field_t* fields, std::uint32_t count, std::uint32_t stride) noexcept {
  const HostService service;
  auto& self = of(context);
  if (self.revoked_.load(std::memory_order_acquire)) return;
  if (!lemonade::log::enabled(self.plugin_id_, levelOf(level))) return;
  try {
    std::vector<lemonade::log::Field> known;
    known.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto* bytes = reinterpret_cast<const char*>(fields) + std::uint64_t{i} * stride;
      const auto& field = *reinterpret_cast<const lemonade_log_field_t*>(bytes);
      if (const auto value = valueOf(field)) known.push_back({view(field.name), *value});
    }
    lemonade::log::write(levelOf(level), self.plugin_id_, view(message), known);
  } catch (...) {
    // As above.
  }
}

}  // namespace lemonade::plugin
