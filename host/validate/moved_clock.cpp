// SPDX-License-Identifier: MIT
#include "validate/moved_clock.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/time.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::atomic<std::int64_t> moved{0};

}  // namespace

namespace lemonade::validate {

void moveClocks(Duration by) noexcept { moved.fetch_add(by.count(), std::memory_order_relaxed); }
Duration clocksMoved() noexcept { return Duration(moved.load(std::memory_order_relaxed)); }
std::uint64_t unmovedNs() noexcept { return nowNs() - (kMovesClocks ? static_cast<std::uint64_t>(moved.load()) : 0); }

}  // namespace lemonade::validate

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {

/// The function of that name that the C library has.
template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

bool isMoved(clockid_t clock) noexcept {
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
      return true;
    default:
      return false;  // clocks of CPU time
  }
}

timespec shifted(const timespec& time, std::int64_t by) noexcept {
  const std::int64_t nanoseconds = time.tv_nsec + by % kSecond;
  timespec other{time.tv_sec + by / kSecond, static_cast<long>(nanoseconds)};
  if (nanoseconds >= kSecond) other = {other.tv_sec + 1, static_cast<long>(nanoseconds - kSecond)};
  if (nanoseconds < 0) other = {other.tv_sec - 1, static_cast<long>(nanoseconds + kSecond)};
  return other;
}

/// A time that was told by a moved clock, for the kernel.
timespec unmoved(const timespec* time) noexcept { return shifted(*time, -moved.load(std::memory_order_relaxed)); }

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static auto* const real = next<int(clockid_t, timespec*)>("clock_gettime");
  const int outcome = real(clock, time);
  const auto by = moved.load(std::memory_order_relaxed);
  if (outcome == 0 && by != 0 && isMoved(clock)) *time = shifted(*time, by);
  return outcome;
}

int gettimeofday(timeval* time, void*) noexcept {
  timespec now{};
  const int outcome = ::clock_gettime(CLOCK_REALTIME, &now);
  if (outcome == 0) *time = {now.tv_sec, now.tv_nsec / 1'000};
  return outcome;
}

time_t time(time_t* seconds) noexcept {
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  if (seconds != nullptr) *seconds = now.tv_sec;
  return now.tv_sec;
}

int clock_nanosleep(clockid_t clock, int flags, const timespec* request, timespec* rest) {
  static auto* const real = next<int(clockid_t, int, const timespec*, timespec*)>("clock_nanosleep");
  if ((flags & TIMER_ABSTIME) == 0 || request == nullptr || !isMoved(clock)) return real(clock, flags, request, rest);
  const auto until = unmoved(request);
  return real(clock, flags, &until, rest);
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* time) {
  static auto* const real = next<int(pthread_cond_t*, pthread_mutex_t*, const timespec*)>("pthread_cond_timedwait");
  const auto until = unmoved(time);
  return real(condition, mutex, &until);
}

int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const timespec* time) {
  static auto* const real =
      next<int(pthread_cond_t*, pthread_mutex_t*, clockid_t, const timespec*)>("pthread_cond_clockwait");
  const auto until = unmoved(time);
  return real(condition, mutex, clock, &until);
}

int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* time) noexcept {
  static auto* const real = next<int(pthread_mutex_t*, const timespec*)>("pthread_mutex_timedlock");
  const auto until = unmoved(time);
  return real(mutex, &until);
}

int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* time) noexcept {
  static auto* const real = next<int(pthread_mutex_t*, clockid_t, const timespec*)>("pthread_mutex_clocklock");
  const auto until = unmoved(time);
  return real(mutex, clock, &until);
}

int sem_timedwait(sem_t* semaphore, const timespec* time) {
  static auto* const real = next<int(sem_t*, const timespec*)>("sem_timedwait");
  const auto until = unmoved(time);
  return real(semaphore, &until);
}

int sem_clockwait(sem_t* semaphore, clockid_t clock, const timespec* time) {
  static auto* const real = next<int(sem_t*, clockid_t, const timespec*)>("sem_clockwait");
  const auto until = unmoved(time);
  return real(semaphore, clock, &until);
}

}  // extern "C"

#endif
