// SPDX-License-Identifier: MIT
//
// Server-sent events, as the HTML standard has them: "event: NAME", "data: TEXT" and an empty line.
#include "app/live.h"

#include "admin/stream.h"
#include "base/clock.h"
#include "base/log.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr auto kStatusEvery = 1s;
constexpr const char* kHello = "retry: 1000\n\n";

using admin::Stream;

/// JSON has no line ends but those between its members.
std::string onOneLine(std::string text) {
  std::erase(text, '\n');
  return text;
}

Stream::Piece pieceOf(const Event& event) {
  return std::make_shared<const std::string>("id: " + std::to_string(event.sequence) +
                                             "\nevent: event\ndata: " + onOneLine(eventJson(event)) + "\n\n");
}

}  // namespace

class Live::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(std::shared_ptr<Events> events, std::function<std::string()> status)
      : events_(std::move(events)), status_(std::move(status)) {}

  admin::Response open(std::optional<std::uint64_t> after);
  void stop();

 private:
  struct Reader {
    std::shared_ptr<Stream> stream;
    std::uint64_t after = 0;
  };

  void run();
  void wait(std::chrono::steady_clock::time_point status_due);
  void tellEvents();
  void tellStatus();
  void hearOfEvents();

  const std::shared_ptr<Events> events_;
  const std::function<std::string()> status_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<Reader> readers_;
  bool newer_ = false;    // there are events, or readers, that have not been looked at
  bool hearing_ = false;  // of the next event
  bool stopping_ = false;
  std::thread thread_;
};

admin::Response Live::Impl::open(std::optional<std::uint64_t> after) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return admin::errorResponse(503, "the balancer is stopping");
  if (readers_.size() >= kMost)
    return admin::errorResponse(503, "there are " + std::to_string(kMost) + " streams; close one, or ask for events");
  const auto stream = std::make_shared<Stream>();
  readers_.push_back({stream, after ? *after : events_->latest(0).next});
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  newer_ = true;
  changed_.notify_all();
  return {.content_type = "text/event-stream",
          .body = kHello,
          .headers = {{"Cache-Control", "no-store"}},
          .stream = stream};
}

void Live::Impl::stop() {
  std::thread thread;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    thread.swap(thread_);
    for (const auto& reader : readers_) reader.stream->end();
    changed_.notify_all();
  }
  if (thread.joinable()) thread.join();
}

void Live::Impl::run() {
  auto status_due = std::chrono::steady_clock::now();
  for (;;) try {
      wait(status_due);
      {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
      }
      hearOfEvents();
      tellEvents();
      if (std::chrono::steady_clock::now() < status_due) continue;
      status_due = std::chrono::steady_clock::now() + kStatusEvery;
      tellStatus();
    } catch (const std::exception& e) {
      log::error("admin", "what is streamed could not be made", {{"reason", e.what()}});
      std::this_thread::sleep_for(kStatusEvery);
    }
}

void Live::Impl::wait(std::chrono::steady_clock::time_point status_due) {
  std::unique_lock lock(mutex_);
  const auto is_due = [this] { return stopping_ || newer_; };
  readers_.empty() ? changed_.wait(lock, is_due) : void(changed_.wait_until(lock, status_due, is_due));
  newer_ = false;
}

// Before the events are read: what comes after that is heard of.
void Live::Impl::hearOfEvents() {
  {
    const std::lock_guard lock(mutex_);
    if (readers_.empty() || std::exchange(hearing_, true)) return;
  }
  const auto heard = [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    const std::lock_guard lock(self->mutex_);
    self->newer_ = true;
    self->hearing_ = false;
    self->changed_.notify_all();
  };
  const std::uint64_t soon = nowNs() + static_cast<std::uint64_t>(Duration(kStatusEvery).count());
  if (events_->await(events_->latest(0).next, soon, heard)) return;
  const std::lock_guard lock(mutex_);
  hearing_ = false;  // too many wait: it looks every second
}

void Live::Impl::tellEvents() {
  const std::lock_guard lock(mutex_);
  std::erase_if(readers_, [this](Reader& reader) {
    const auto page = events_->after(reader.after, Events::kMost);
    reader.after = page.next;
    return !std::all_of(page.events.begin(), page.events.end(),
                        [&](const Event& event) { return reader.stream->push(pieceOf(event)); });
  });
}

void Live::Impl::tellStatus() {
  {
    const std::lock_guard lock(mutex_);
    if (readers_.empty()) return;
  }
  const auto piece = std::make_shared<const std::string>("event: status\ndata: " + onOneLine(status_()) + "\n\n");
  const std::lock_guard lock(mutex_);
  std::erase_if(readers_, [&](const Reader& reader) { return !reader.stream->pushFresh(piece); });
}

Live::Live(std::shared_ptr<Events> events, std::function<std::string()> status)
    : impl_(std::make_shared<Impl>(std::move(events), std::move(status))) {}

admin::Response Live::open(std::optional<std::uint64_t> after) { return impl_->open(after); }

void Live::stop() { impl_->stop(); }

}  // namespace lemonade::app
