// SPDX-License-Identifier: MIT
#include "plugin/guarded_thread.h"

#include "plugin/containment.h"
#include "plugin/way_out.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <utility>
#include <vector>

namespace lemonade::plugin {

namespace {

// A handler looks at the frames there, whose saved registers alone may take 11 KiB of it.
constexpr std::size_t kAlternateSize = 128 << 10;

/// What a thread that has ended left.
struct Left {
  Fault fault;
  std::string thread;
};

struct Threads {
  std::mutex mutex;  // guards what follows
  std::vector<GuardSlot*> slots;
  std::list<Left> left;
};

// A thread inherits a mask with all signals that nobody handled when the process began.
void letHangsBeBrokenOff() noexcept {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, Containment::hangSignal());
  (void)::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

/// Where the stack of the calling thread lies; everywhere where the system does not say.
void findStack(ThreadStacks& stacks) noexcept {
  pthread_attr_t attributes;
  if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return;
  void* lowest = nullptr;
  std::size_t size = 0;
  if (::pthread_attr_getstack(&attributes, &lowest, &size) == 0) {
    stacks.begin = reinterpret_cast<std::uintptr_t>(lowest);
    stacks.end = stacks.begin + size;
  }
  (void)::pthread_attr_destroy(&attributes);
}

Threads& threads() {
  static auto& all = *new Threads;  // threads may end later than anything that is destroyed
  return all;
}

}  // namespace

GuardedThread::GuardedThread(std::string name) : slot_(std::make_unique<GuardSlot>()) {
  slot_->name = std::move(name);
  slot_->thread = ::pthread_self();
  slot_->process = ::getpid();
  slot_->traced.emplace(slot_->name);
  letHangsBeBrokenOff();
  (void)::pthread_sigmask(SIG_SETMASK, nullptr, &slot_->mask);
  rememberArithmetic(*slot_);
  t_thread_stacks = {};
  findStack(t_thread_stacks);
  useAlternateStack();
  auto& all = threads();
  const std::lock_guard lock(all.mutex);
  all.slots.push_back(slot_.get());
  t_guard_slot = slot_.get();
}

GuardedThread::~GuardedThread() {
  t_guard_slot = nullptr;
  {
    auto& all = threads();
    const std::lock_guard lock(all.mutex);
    std::erase(all.slots, slot_.get());
    for (auto& record : slot_->records)
      if (record.filled.load(std::memory_order_acquire)) all.left.push_back({record.fault, slot_->name});
  }
  if (alternate_ == nullptr) return;
  t_thread_stacks = {};
  before_.ss_flags &= SS_DISABLE;
  (void)::sigaltstack(&before_, nullptr);
  (void)::munmap(alternate_, kAlternateSize);
}

void GuardedThread::guardThisOne(const std::string& name) {
  if (t_guard_slot != nullptr) return;
  static thread_local std::unique_ptr<GuardedThread> guarded;
  guarded = std::make_unique<GuardedThread>(name);
}

// Below it lies a page that nothing may touch, as for every stack.
void GuardedThread::useAlternateStack() noexcept {
  void* const mapped = ::mmap(nullptr, kAlternateSize, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (mapped == MAP_FAILED) return;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  (void)::mprotect(mapped, page, PROT_NONE);
  stack_t stack{};
  stack.ss_sp = static_cast<char*>(mapped) + page;
  stack.ss_size = kAlternateSize - page;
  if (::sigaltstack(&stack, &before_) != 0) {
    (void)::munmap(mapped, kAlternateSize);
    return;
  }
  alternate_ = mapped;
  t_thread_stacks.alternate_begin = reinterpret_cast<std::uintptr_t>(stack.ss_sp);
  t_thread_stacks.alternate_end = t_thread_stacks.alternate_begin + stack.ss_size;
}

void GuardedThread::forEach(const std::function<void(GuardSlot&)>& visit) {
  auto& all = threads();
  const std::lock_guard lock(all.mutex);
  for (auto* slot : all.slots) visit(*slot);
}

void GuardedThread::takeLeft(const std::function<void(const Fault&, const std::string& thread)>& visit) {
  std::list<Left> left;
  {
    auto& all = threads();
    const std::lock_guard lock(all.mutex);
    left.swap(all.left);
  }
  for (const auto& one : left) visit(one.fault, one.thread);
}

}  // namespace lemonade::plugin
