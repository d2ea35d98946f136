// SPDX-License-Identifier: MIT
//
// A handler runs on the thread that faulted, on the alternate stack of its GuardedThread. It notes what is known, marks
// the instance as broken, and has the thread go on where the call began. Everything in here is async-signal-safe.
#include "plugin/containment.h"

#include "base/fault_trace.h"
#include "base/fd.h"
#include "plugin/exits.h"
#include "plugin/guard.h"
#include "plugin/guard_slot.h"
#include "plugin/last_words.h"
#include "plugin/locking_code.h"
#include "plugin/way_out.h"

#include <cxxabi.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <unwind.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <typeinfo>
#include <utility>

namespace lemonade::plugin {

namespace {

constexpr std::array kFaultSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

std::atomic<bool> installed{false};
std::atomic<bool> speaks_json{false};
std::array<struct sigaction, kFaultSignals.size()> before;
struct sigaction before_hang;
std::terminate_handler before_terminate = nullptr;

FaultKind kindOf(int signal) noexcept {
  switch (signal) {
    case SIGSEGV:
      return FaultKind::kSegv;
    case SIGBUS:
      return FaultKind::kBus;
    case SIGFPE:
      return FaultKind::kFpe;
    case SIGILL:
      return FaultKind::kIll;
    default:
      return FaultKind::kAbort;
  }
}

// ---- the frames ----------------------------------------------------------------------------------------------------

/// What a look at the frames fills in. from: the first that counts, null for all.
struct Trace {
  Fault& fault;
  const void* from;
};

_Unwind_Reason_Code addFrame(_Unwind_Context* frame, void* data) {
  auto& trace = *static_cast<Trace*>(data);
  const auto* const at = reinterpret_cast<const void*>(::_Unwind_GetIP(frame));
  if (at == nullptr) return _URC_END_OF_STACK;
  if (trace.from != nullptr && at != trace.from) return _URC_NO_REASON;
  trace.from = nullptr;
  if (trace.fault.frame_count == Fault::kMostFrames) return _URC_END_OF_STACK;
  trace.fault.frames[trace.fault.frame_count++] = at;
  return _URC_NO_REASON;
}

/// The frames of the calling thread, from an instruction on. A stack that is broken breaks the look off, not more.
void trace(GuardSlot& slot, Fault& fault, const void* from) noexcept {
  fault.frame_count = 0;
  Trace wanted{fault, from};
  (void)lemonade_traced_call(
      &slot.trace_stack, [](void* data) noexcept { (void)::_Unwind_Backtrace(addFrame, data); }, &wanted);
  slot.trace_stack.store(nullptr, std::memory_order_relaxed);
  if (fault.frame_count == 0 && from != nullptr) fault.frames[fault.frame_count++] = from;
}

bool holdsLock(const Fault& fault) noexcept {
  for (std::size_t i = 0; i < fault.frame_count; ++i) {
    // All but the innermost are where a call returns to, which may be behind its function.
    const auto* const at = static_cast<const char*>(fault.frames[i]) - (i == 0 ? 0 : 1);
    if (isLockingCode(at)) return true;
  }
  return false;
}

// ---- the way out ---------------------------------------------------------------------------------------------------

/// Why a fault in a call of a plugin is not to be broken off; null where it is. A call that was broken off and is still
/// under way came back to something else than what called it.
const char* obstacleTo(const GuardSlot& slot, const Fault& fault) noexcept {
  if (!t_thread_stacks.hasFrame(slot.stack.load(std::memory_order_relaxed)) ||
      slot.left.load(std::memory_order_relaxed) == slot.call.load(std::memory_order_relaxed))
    return "the way back to the host was overwritten";
  if (slot.services.load(std::memory_order_relaxed) != 0)
    return "it is in a function of the host, which may hold a lock";
  if (holdsLock(fault)) return "it is in the allocator or the dynamic linker, which hold a lock";
  return nullptr;
}

/// Keeps the record for the watch; the instance is broken from now on.
void note(GuardSlot& slot, const Fault& fault) noexcept {
  fault.guard->breakFor(fault.kind);
  for (auto& record : slot.records) {
    if (record.filled.load(std::memory_order_acquire)) continue;
    record.fault = fault;
    record.filled.store(true, std::memory_order_release);
    break;
  }
  (void)::eventfd_write(Containment::descriptor(), 1);
}

/// The same where the call is left.
void noteLeft(GuardSlot& slot, const Fault& fault) noexcept {
  slot.left.store(slot.call.load(std::memory_order_relaxed), std::memory_order_relaxed);
  note(slot, fault);
}

Fault faultOf(const GuardSlot& slot, FaultKind kind) noexcept {
  Fault fault;
  fault.guard = slot.guard.load(std::memory_order_relaxed);
  fault.function = GuardSlot::functionOf(slot.call.load(std::memory_order_relaxed));
  fault.kind = kind;
  return fault;
}

/// What follows a line: the instruction faults again, or the signal comes again, and the system ends the process.
void restoreDefault(int signal, bool comes_again) noexcept {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  (void)::sigaction(signal, &action, nullptr);
  if (!comes_again) (void)::raise(signal);
}

/// For who started this process and will ask what it died of.
void traceDeath(int signal, const GuardSlot* slot, const Fault* fault, const char* obstacle) noexcept {
  fault_trace::Fatal fatal;
  fatal.signal = signal;
  if (slot != nullptr) fatal.thread = slot->name.c_str();
  if (fault != nullptr) {
    fatal.inside = fault->guard->insideOf(fault->function);
    fatal.note = obstacle;
    for (std::size_t i = 0; i < fault->frame_count && !fatal.has_offset; ++i)
      if (const auto offset = fault->guard->offsetOf(fault->frames[i])) {
        fatal.offset = *offset;
        fatal.has_offset = true;
      }
  }
  fault_trace::tellFatal(fatal);
}

void sayWhoDies(int signal, const GuardSlot* slot, const Fault* fault, const char* obstacle) noexcept {
  traceDeath(signal, slot, fault, obstacle);
  LastWords words(fault == nullptr ? "a fault in no call of a plugin ends the process"
                                   : "a plugin's fault cannot be survived and ends the process",
                  speaks_json.load(std::memory_order_relaxed));
  words.field("signal", nameOf(kindOf(signal)));
  if (fault != nullptr) {
    const auto& info = fault->guard->info();
    words.field("reason", obstacle)
        .field("plugin", info.id)
        .field("version", info.version)
        .field("file", info.file)
        .field("generation", info.number)
        .field("hash", info.hash)
        .field("function", nameOf(fault->function));
  }
  if (slot != nullptr) words.field("thread", slot->name);
  words.write();
}

/// For who mends the host: a line of its own, as a look at the frames may end the process, too.
void sayWhere(GuardSlot& slot, const void* instruction) noexcept {
  Fault fault;
  trace(slot, fault, instruction);
  LastWords("the thread was at", speaks_json.load(std::memory_order_relaxed))
      .field("thread", slot.name)
      .backtrace({fault.frames, fault.frame_count})
      .write();
}

/// Somebody has written over what handlers rely on: nothing of it is looked at any more.
void sayOverwritten(int signal) noexcept {
  constexpr const char* kWhy = "what the host knew of this thread is not there any more";
  fault_trace::tellFatal({.signal = signal, .note = kWhy});
  LastWords("memory of the host was overwritten, which ends the process", speaks_json.load(std::memory_order_relaxed))
      .field("signal", nameOf(kindOf(signal)))
      .field("reason", kWhy)
      .write();
}

/// Whether a fault outside of plugins is of arithmetic that one of them has left in a state in which it raises signals.
/// Then the thread has its own again and goes on, and the one that was called last is broken.
bool isLeftByPlugin(GuardSlot& slot, const siginfo_t& info, ucontext_t& context) noexcept {
  if (info.si_code < FPE_FLTDIV || info.si_code > FPE_FLTINV || slot.process != ::getpid()) return false;
  const Guard* const guard = slot.guard.load(std::memory_order_relaxed);
  if (!Guard::isOne(guard) || !takeBackArithmetic(context, slot)) return false;
  Fault fault = faultOf(slot, FaultKind::kFpe);
  std::strncpy(fault.detail, "it has floating-point exceptions raise a signal when it has returned",
               sizeof(fault.detail) - 1);
  note(slot, fault);
  return true;
}

/// What a fault comes to, but for one in a look at frames. True where the thread goes on.
bool survive(int signal, const siginfo_t& info, ucontext_t& context) noexcept {
  GuardSlot* const slot = t_guard_slot;
  const bool raised = info.si_code <= 0;                          // by somebody, not by an instruction
  const bool from_outside = raised && info.si_pid != ::getpid();  // which is no plugin's doing
  if (slot == nullptr || !slot->isInside() || from_outside) {
    if (signal == SIGFPE && slot != nullptr && !slot->isInCall() && isLeftByPlugin(*slot, info, context)) return true;
    sayWhoDies(signal, slot, nullptr, nullptr);
    if (slot != nullptr && !from_outside) sayWhere(*slot, instructionOf(context));
    return false;
  }
  if (!Guard::isOne(slot->guard.load(std::memory_order_relaxed))) {
    sayOverwritten(signal);
    return false;
  }
  Fault fault = faultOf(*slot, kindOf(signal));
  if (signal == SIGSEGV || signal == SIGBUS) fault.address = info.si_addr;
  trace(*slot, fault, instructionOf(context));
  if (const char* obstacle = obstacleTo(*slot, fault); obstacle != nullptr) {
    sayWhoDies(signal, slot, &fault, obstacle);
    return false;
  }
  noteLeft(*slot, fault);
  redirectOut(context, *slot);
  return true;
}

/// Of the thread: it handles a fault.
thread_local constinit bool t_handles_fault __attribute__((tls_model("initial-exec"))) = false;

void onFault(int signal, siginfo_t* info, void* data) {
  const int error = errno;
  auto& context = *static_cast<ucontext_t*>(data);
  if (GuardSlot* const slot = t_guard_slot; slot != nullptr) {
    void* const tracing = slot->trace_stack.exchange(nullptr, std::memory_order_relaxed);
    if (tracing != nullptr && (t_thread_stacks.hasFrame(tracing) || t_thread_stacks.hasHandlersFrame(tracing)))
      return redirect(context, tracing);
  }
  const bool in_handler = std::exchange(t_handles_fault, true);
  if (in_handler) sayOverwritten(signal);
  if (in_handler || !survive(signal, *info, context)) return restoreDefault(signal, info->si_code > 0);
  t_handles_fault = false;
  errno = error;
}

// The call that was meant may have ended meanwhile. Where this one cannot be broken off now, the watch tries again.
void onHang(int, siginfo_t*, void* data) {
  const int error = errno;
  auto& context = *static_cast<ucontext_t*>(data);
  GuardSlot* const slot = t_guard_slot;
  if (slot == nullptr || !slot->isInside() || slot->trace_stack.load(std::memory_order_relaxed) != nullptr) return;
  if (slot->call.load(std::memory_order_relaxed) != slot->doomed.load(std::memory_order_acquire)) return;
  Fault fault = faultOf(*slot, FaultKind::kHang);
  fault.lasted_ns = slot->doomed_ns.load(std::memory_order_relaxed);
  trace(*slot, fault, instructionOf(context));
  if (obstacleTo(*slot, fault) == nullptr) {
    noteLeft(*slot, fault);
    redirectOut(context, *slot);
  }
  errno = error;
}

// Whatever the plugin has thrown stays caught, which nobody asks for any more.
void onTerminate() {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  Containment::leave(FaultKind::kException, type != nullptr ? type->name() : "std::terminate");
  if (before_terminate != nullptr) before_terminate();
  std::abort();
}

struct sigaction actionOf(void (*handler)(int, siginfo_t*, void*), int flags) noexcept {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | flags;
  (void)::sigemptyset(&action.sa_mask);
  return action;
}

void install() {
  findLockingCode();
  findExits();
  (void)Containment::descriptor();
  // So that whatever the first look at frames needs is there; it is not interrupted in the middle of that.
  GuardSlot nobody;
  Fault fault;
  trace(nobody, fault, nullptr);
  // A look at the frames may fault itself, hence SA_NODEFER.
  const auto on_fault = actionOf(onFault, SA_NODEFER);
  for (std::size_t i = 0; i < kFaultSignals.size(); ++i) (void)::sigaction(kFaultSignals[i], &on_fault, &before[i]);
  const auto on_hang = actionOf(onHang, SA_RESTART);
  (void)::sigaction(Containment::hangSignal(), &on_hang, &before_hang);
  before_terminate = std::set_terminate(onTerminate);
}

void uninstall() {
  for (std::size_t i = 0; i < kFaultSignals.size(); ++i) (void)::sigaction(kFaultSignals[i], &before[i], nullptr);
  // One that is on its way must not end the process.
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  (void)::sigaction(Containment::hangSignal(), &ignore, nullptr);
  (void)std::set_terminate(before_terminate);
}

}  // namespace

void Containment::use(bool on) {
  for (std::size_t i = 0; i < kFunctionNames.size(); ++i)
    fault_trace::nameFunction(static_cast<std::uint8_t>(i), kFunctionNames[i]);
  if (!kCanBreakOff || installed.exchange(on) == on) return;
  on ? install() : uninstall();
}

bool Containment::isOn() noexcept { return installed.load(std::memory_order_relaxed); }

void Containment::speakJson(bool json) noexcept { speaks_json.store(json, std::memory_order_relaxed); }

int Containment::hangSignal() noexcept { return SIGRTMIN + 5; }

int Containment::descriptor() {
  static const Fd& fd = *new Fd(ownedFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd"));
  return fd.get();
}

void Containment::leave(FaultKind kind, const char* detail) noexcept {
  GuardSlot* const slot = t_guard_slot;
  if (slot == nullptr || !slot->isInside() || !isOn()) return;
  Fault fault = faultOf(*slot, kind);
  trace(*slot, fault, nullptr);
  std::strncpy(fault.detail, detail, sizeof(fault.detail) - 1);
  if (obstacleTo(*slot, fault) != nullptr) return;
  noteLeft(*slot, fault);
  leaveCall(*slot);
}

void Containment::giveUp(const Guard& guard, Function function, const char* thread) noexcept {
  const auto& info = guard.info();
  fault_trace::tellFatal({guard.insideOf(function), SIGABRT, false, 0, thread, "it did not come back"});
  LastWords("a plugin's call neither comes back nor can be broken off, which ends the process",
            speaks_json.load(std::memory_order_relaxed))
      .field("plugin", info.id)
      .field("version", info.version)
      .field("file", info.file)
      .field("generation", info.number)
      .field("hash", info.hash)
      .field("function", nameOf(function))
      .field("thread", thread)
      .write();
  restoreDefault(SIGABRT, true);
  std::abort();
}

}  // namespace lemonade::plugin
