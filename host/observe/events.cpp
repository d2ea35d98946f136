// SPDX-License-Identifier: MIT
#include "observe/events.h"

#include "base/clock.h"
#include "base/log_line.h"
#include "observe/json_writer.h"

#include <algorithm>
#include <iterator>
#include <new>

namespace lemonade {

namespace {

constexpr std::size_t kLongestText = 2'048;

void cut(std::string& text) {
  if (text.size() > kLongestText) text = text.substr(0, kLongestText) + "...";
}

void add(Json& json, const Event& event) {
  json.object([&] {
    json.set("sequence", event.sequence);
    setTime(json, "time", event.unix_ns);
    const std::uint64_t micros = event.unix_ns / 1'000;
    json.set("unix_time", static_cast<double>(micros) / 1e6);
    setText(json, "kind", kEventKinds[static_cast<std::size_t>(event.kind)]);
    setText(json, "pool", event.pool);
    setText(json, "backend", event.backend);
    setText(json, "text", log::validUtf8(event.text));
    json.object("fields", [&] {
      for (const auto& [name, value] : event.fields) setText(json, name, log::validUtf8(value));
    });
  });
}

}  // namespace

void Events::add(Event event) noexcept {
  {
    const std::lock_guard lock(mutex_);
    event.sequence = ++newest_;
    event.unix_ns = unixNs();
    try {
      cut(event.text);
      for (auto& [name, value] : event.fields) cut(value);
      events_.push_back(std::move(event));
    } catch (const std::bad_alloc&) {
    }
    while (events_.size() > most_) events_.pop_front();
  }
  release([this](const Waiter& waiter) { return waiter.sequence < newest_; });
}

std::uint64_t Events::clamped(std::uint64_t sequence) const { return std::min(sequence, newest_); }

Events::Page Events::pageAfter(std::uint64_t sequence, std::size_t limit) const {
  const auto first =
      std::find_if(events_.begin(), events_.end(), [&](const Event& event) { return event.sequence > sequence; });
  const auto count = std::min<std::size_t>(limit, static_cast<std::size_t>(std::distance(first, events_.end())));
  Page page;
  page.events.assign(first, first + static_cast<std::ptrdiff_t>(count));
  page.next = page.events.empty() ? clamped(sequence) : page.events.back().sequence;
  page.lost = between(clamped(sequence), page.next) - page.events.size();
  return page;
}

/// How many numbers behind `from` and up to `to` were given.
std::uint64_t Events::between(std::uint64_t from, std::uint64_t to) const {
  std::uint64_t count = 0;
  const auto add = [&](const Span& span) {
    const std::uint64_t first = std::max(from, span.before), last = std::min(to, span.newest);
    count += std::max(last, first) - first;
  };
  for (const auto& span : spans_) add(span);
  add({before_, newest_});
  return count;
}

Events::Told Events::told() const {
  const std::lock_guard lock(mutex_);
  Told told{{events_.begin(), events_.end()}, spans_};
  told.spans.push_back({before_, newest_});
  return told;
}

void Events::inherit(Told told) {
  const std::lock_guard lock(mutex_);
  std::uint64_t end = 0;
  for (const auto& span : told.spans) {
    if (span.before < end || span.newest < span.before || span.newest > before_) continue;
    spans_.push_back(span);
    end = span.newest;
  }
  if (spans_.size() > kMostSpans) spans_.erase(spans_.begin(), spans_.end() - kMostSpans);
  std::deque<Event> before;
  for (auto& event : told.events) {
    const std::uint64_t last = before.empty() ? 0 : before.back().sequence;
    if (event.sequence > last && between(event.sequence - 1, event.sequence) == 1 && event.sequence <= before_)
      before.push_back(std::move(event));
  }
  events_.insert(events_.begin(), std::make_move_iterator(before.begin()), std::make_move_iterator(before.end()));
  while (events_.size() > most_) events_.pop_front();
}

Events::Page Events::after(std::uint64_t sequence, std::size_t limit) const {
  const std::lock_guard lock(mutex_);
  return pageAfter(clamped(sequence), limit);
}

Events::Page Events::latest(std::size_t limit) const {
  const std::lock_guard lock(mutex_);
  if (events_.empty()) return {{}, newest_, 0};
  const std::size_t skipped = events_.size() - std::min(limit, events_.size());
  if (skipped == events_.size()) return {{}, newest_, 0};
  return pageAfter(events_[skipped].sequence - 1, limit);
}

bool Events::await(std::uint64_t sequence, std::uint64_t deadline_ns, Heard heard) {
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t behind = clamped(sequence);
    if (!closed_ && behind == newest_) {
      if (waiters_.size() >= kMostWaiters) return false;
      waiters_.push_back({behind, deadline_ns, std::move(heard)});
      return true;
    }
  }
  heard();
  return true;
}

/// Calls those that are let go, outside of the lock. Without memory they stay for the next time.
template <class Which>
void Events::release(Which which) try {
  std::vector<Waiter> released;
  {
    const std::lock_guard lock(mutex_);
    if (waiters_.empty()) return;
    released.reserve(waiters_.size());
    for (auto& waiter : waiters_)
      if (which(waiter)) released.push_back(std::exchange(waiter, Waiter{}));
    std::erase_if(waiters_, [](const Waiter& waiter) { return !waiter.heard; });
  }
  for (const auto& waiter : released) waiter.heard();
} catch (const std::bad_alloc&) {
}

void Events::expire(std::uint64_t now_ns) {
  release([now_ns](const Waiter& waiter) { return waiter.deadline_ns <= now_ns; });
}

void Events::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  release([](const Waiter&) { return true; });
}

std::optional<EventKind> eventKindOf(std::string_view name) {
  const auto* const found = std::find(kEventKinds.begin(), kEventKinds.end(), name);
  if (found == kEventKinds.end()) return std::nullopt;
  return static_cast<EventKind>(found - kEventKinds.begin());
}

std::string eventJson(const Event& event) {
  Text text;
  Json json(text);
  lemonade::add(json, event);
  return std::move(text.text);
}

std::string eventsJson(const Events::Page& page) {
  Text text;
  Json json(text);
  json.object([&] {
    json.array("events", page.events, [&](const Event& event) { add(json, event); });
    json.set("next", page.next);
    json.set("lost", page.lost);
  });
  text.text += '\n';
  return std::move(text.text);
}

}  // namespace lemonade
