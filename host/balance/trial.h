// SPDX-License-Identifier: MIT
//
// A trial: an experiment that tells a backend's fault from a client's. A client that sends garbage fails wherever it
// goes; a backend that is broken fails whoever comes. So while a backend is under suspicion, a coin decides for each
// new client that the strategy picks it for: one in four goes there, the others to backends that are not suspected. No
// client can know which, whatever its address and whatever it sends, so what it does can not tell the two apart.
//
// What counts is the first exchange of each: answered, failed (the backend reset or closed before it answered), or late
// (nothing came for a long time after the client's last byte). health/evidence.h weighs it. Of a backend that is
// suspected of being slow it counts, too, which answers took longer than a given time; health/outliers.h weighs that.
//
// Workers write, with relaxed atomics; control takes. Belongs to its backend, and to the sessions that take part.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace lemonade {

class Trial : public std::enable_shared_from_this<Trial> {
 public:
  /// Where the coin sent a client.
  enum class Arm : std::uint8_t {
    kHere,       ///< to the suspected backend
    kElsewhere,  ///< to another one in its place
  };
  struct Outcomes {
    std::uint32_t failed_here = 0;  ///< late ones included, as below
    std::uint32_t answered_here = 0;
    std::uint32_t failed_elsewhere = 0;
    std::uint32_t answered_elsewhere = 0;
    std::uint32_t slow_here = 0;  ///< answered or not, as soon as it has taken too long
    std::uint32_t slow_elsewhere = 0;
  };

  /// The part of one session: says at most once what came of it. Empty where its session takes part in none. One thread
  /// at a time.
  class Part {
   public:
    Part() = default;
    Part(Trial& trial, Arm arm) : trial_(trial.shared_from_this()), arm_(arm) {}
    Part(Part&& other) noexcept { *this = std::move(other); }
    Part& operator=(Part&& other) noexcept {
      dismiss();
      trial_ = std::move(other.trial_);
      arm_ = other.arm_;
      slot_ = std::exchange(other.slot_, kNoSlot);
      return *this;
    }
    ~Part() { dismiss(); }

    explicit operator bool() const noexcept { return trial_ != nullptr; }
    /// The client asked, or said more: it waits since now, monotonic nanoseconds.
    void asked(std::uint64_t now) noexcept {
      if (trial_ != nullptr) slot_ = trial_->wait(slot_, arm_, now);
    }
    /// took_ns: from its last byte to the first of the answer; 0: nobody knows.
    void answered(std::uint64_t took_ns = 0) noexcept {
      if (trial_ != nullptr) trial_->lookWhetherSlow(slot_, arm_, took_ns);
      conclude(true);
    }
    void failed() noexcept { conclude(false); }
    /// The client left. Where it had asked, it still shows when the answer would have been late.
    void left() noexcept {
      if (trial_ != nullptr && slot_ != kNoSlot) trial_->leave(std::exchange(slot_, kNoSlot));
      trial_.reset();
    }
    /// It says nothing.
    void dismiss() noexcept {
      if (trial_ != nullptr && slot_ != kNoSlot) trial_->free(std::exchange(slot_, kNoSlot));
      trial_.reset();
    }

   private:
    void conclude(bool answered) noexcept {
      if (trial_ != nullptr) trial_->count(arm_, answered);
      dismiss();
    }

    std::shared_ptr<Trial> trial_;
    Arm arm_ = Arm::kHere;
    std::int8_t slot_ = kNoSlot;
  };

  /// Takes what came since the last time. Those that wait since before late_since_ns (monotonic) are late, and count as
  /// failed; those since before slow_since_ns are slow. Control thread.
  Outcomes take(std::uint64_t late_since_ns, std::uint64_t slow_since_ns = 0) noexcept;
  /// Answers that take longer than this are slow from now on; 0: none is. Control thread.
  void setSlowNs(std::uint64_t ns) noexcept { slow_ns_.store(ns, std::memory_order_relaxed); }

 private:
  static constexpr std::int8_t kNoSlot = -1;
  static constexpr std::uint8_t kSlots = 128;  // further ones are not seen to be late

  // A slot is one number: since when its client waits, in steps of 16 ns, and below that these bits. 0: it is free.
  static constexpr std::uint64_t kElsewhereBit = 1;
  static constexpr std::uint64_t kLateBit = 2;  // and counted
  static constexpr std::uint64_t kGoneBit = 4;  // its session is over: control frees it
  static constexpr std::uint64_t kSlowBit = 8;  // and counted
  static constexpr std::uint64_t kSinceMask = ~std::uint64_t{15};

  std::int8_t wait(int slot, Arm arm, std::uint64_t now) noexcept;
  void leave(int slot) noexcept;
  void free(int slot) noexcept { slots_[static_cast<std::size_t>(slot)].store(0, std::memory_order_relaxed); }
  void count(Arm arm, bool answered) noexcept;
  void countSlow(Arm arm) noexcept {
    (arm == Arm::kHere ? slow_here_ : slow_elsewhere_).fetch_add(1, std::memory_order_relaxed);
  }
  void lookWhetherSlow(int slot, Arm arm, std::uint64_t took_ns) noexcept;

  std::array<std::atomic<std::uint64_t>, kSlots> slots_{};
  std::atomic<std::uint32_t> failed_here_{0};
  std::atomic<std::uint32_t> answered_here_{0};
  std::atomic<std::uint32_t> failed_elsewhere_{0};
  std::atomic<std::uint32_t> answered_elsewhere_{0};
  std::atomic<std::uint32_t> slow_here_{0};
  std::atomic<std::uint32_t> slow_elsewhere_{0};
  std::atomic<std::uint64_t> slow_ns_{0};
};

}  // namespace lemonade
