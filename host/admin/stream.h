// SPDX-License-Identifier: MIT
//
// An answer that goes on: whoever has something to tell pushes it, and the connection of the client writes it. The
// pieces are shared by all who get them. Nothing waits for a client: what it does not take is bounded.
//
// Any thread may push; the connection takes on its own.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace lemonade::admin {

class Stream {
 public:
  using Piece = std::shared_ptr<const std::string>;
  /// So many pieces wait for a client at most.
  static constexpr std::size_t kMost = 1'000;

  /// False where the client has gone or has more to take than fits, which cuts it off.
  bool push(Piece piece) {
    const std::lock_guard lock(mutex_);
    return add(std::move(piece));
  }
  /// The same for what is of no use later: it is left out where the client has not taken what came before.
  bool pushFresh(Piece piece) {
    const std::lock_guard lock(mutex_);
    return (!closed_ && !pieces_.empty()) || add(std::move(piece));
  }
  /// Nothing more comes; what waits is still written.
  void end() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    if (wake_) wake_();
  }

  // ---- for the connection ----

  enum class State { kPiece, kNothing, kEnd };
  /// What is to be written next.
  State take(Piece& piece) {
    const std::lock_guard lock(mutex_);
    if (cut_) return State::kEnd;
    if (pieces_.empty()) return closed_ ? State::kEnd : State::kNothing;
    piece = std::move(pieces_.front());
    pieces_.pop_front();
    return State::kPiece;
  }
  /// Calls wake, on any thread, whenever there may be something to take, and not after leave(). It must not call back.
  void onPiece(std::function<void()> wake) {
    const std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
  }
  /// The client has gone.
  void leave() {
    const std::lock_guard lock(mutex_);
    closed_ = cut_ = true;
    wake_ = nullptr;
    pieces_.clear();
  }

 private:
  bool add(Piece piece) {
    if (closed_) return false;
    pieces_.push_back(std::move(piece));
    if (pieces_.size() > kMost) closed_ = cut_ = true;
    if (wake_) wake_();
    return true;
  }

  std::mutex mutex_;  // guards all
  std::deque<Piece> pieces_;
  std::function<void()> wake_;
  bool closed_ = false;
  bool cut_ = false;  // what waits is not written
};

}  // namespace lemonade::admin
