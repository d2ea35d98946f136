// SPDX-License-Identifier: MIT
//
// A strategy that picks the first backend, or does one thing wrong: built once for each misdeed, under one and the same
// id, so that a test can drop any of them over a good one. "none_but_last" does nothing wrong and picks the last.
#include <lemonade/sdk/strategy.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

#ifdef MISFIT_NEEDS_MORE
void nobodyHasThis();
#endif

namespace {

using namespace lemonade::sdk;

constexpr std::string_view kMisdeed = LEMONADE_MISDEED;

void crash() { ::raise(SIGSEGV); }
void hang() {
  constexpr std::string_view kWords = "the misfit hangs\n";
  (void)!::write(STDERR_FILENO, kWords.data(), kWords.size());
  for (;;) ::poll(nullptr, 0, 1'000);
}

/// True once the file is there that this variable names: what ends the process must not end its rehearsal.
bool isTime() {
  const char* const file = std::getenv("LEMONADE_TEST_FATAL");
  return file != nullptr && ::access(file, F_OK) == 0;
}

/// Leaves a file called by the process in the folder that this variable names.
void leaveMark() {
  const char* const folder = std::getenv("LEMONADE_TEST_MARKS");
  if (folder != nullptr) (void)std::ofstream(std::string(folder) + "/" + std::to_string(::getpid())).put('x');
}

/// Dies without a last word, and not before the watch has seen what was running.
void die() {
  ::poll(nullptr, 0, 200);
  ::raise(SIGKILL);
}

/// Faults where the lock of the allocator is held.
void faultInFree() {
  void* volatile nowhere = reinterpret_cast<void*>(0x1010);  // no compiler sees what it is
  std::free(nowhere);
}

/// Writes over the stack of who has called it, up to the host's, and faults.
void overwriteStack() {
  auto* const here = static_cast<volatile char*>(__builtin_frame_address(0));
  for (int i = 0; i < 2'048; ++i) here[i] = 'x';
  crash();
}

/// Has every descriptor that there is, once.
void leak() {
  static const bool once = [] {
    while (::eventfd(0, 0) >= 0) {
    }
    return true;
  }();
  (void)once;
}

/// A constructor of the image itself.
const bool loaded = [] {
  if (kMisdeed == "crash_in_load") crash();
  if (kMisdeed == "hang_in_load") hang();
  return true;
}();

/// What the image does when the process exits.
const struct Last {
  ~Last() {
    if (kMisdeed == "hang_at_exit") hang();
  }
} last;

class Misfit : public Strategy {
 public:
  struct Prepared {};
  static constexpr std::uint32_t kEvents = LEMONADE_EVENT_CLOSED;
  static constexpr std::string_view kStateFormat = "com.example.misfit/1";

  explicit Misfit(const Options&) {
    if (kMisdeed == "crash_in_create" && loaded) crash();
    if (kMisdeed == "abort_in_create") std::abort();
    if (kMisdeed == "exit_in_create") ::_exit(0);
    if (kMisdeed == "throw_in_create") throw std::runtime_error("no licence for today");
    if (kMisdeed == "hang_in_create") hang();
    if (kMisdeed == "mark_in_create") leaveMark();
    if (kMisdeed == "chdir_in_create") (void)!::chdir("/");
    if (kMisdeed == "close_in_create") ::close_range(3, ~0U, 0);
#ifdef MISFIT_NEEDS_MORE
    nobodyHasThis();
#endif
  }
  ~Misfit() {
    if (kMisdeed == "crash_in_destroy") crash();
    if (kMisdeed == "hang_in_destroy") hang();
  }

  std::unique_ptr<Prepared> prepare(View view) {
    if (kMisdeed == "hang_in_prepare") hang();
    if (kMisdeed == "hang_in_later_prepare" && view.size() > 1) hang();
    if (kMisdeed == "fail_in_prepare") throw std::runtime_error("no room for the ring");
    return std::make_unique<Prepared>();
  }

  std::uint32_t pick(const Pick<Prepared>& pick) noexcept {
    if (kMisdeed == "crash_in_pick") crash();
    if (kMisdeed == "throw_in_pick") throwOut();
    if (kMisdeed == "hang_in_pick") hang();
    if (kMisdeed == "leak_in_pick") leak();
    if (kMisdeed == "die_in_pick" && isTime()) die();
    if (kMisdeed == "fault_in_free" && isTime()) faultInFree();
    if (kMisdeed == "overwrite_stack" && isTime()) overwriteStack();
    if (kMisdeed == "invalid_index") return 1'000'000;
    if (kMisdeed == "slow_pick") ::poll(nullptr, 0, 120);
    if (kMisdeed == "slower_pick") ::poll(nullptr, 0, 800);
    const auto eligible = pick.view.eligible();
    for (std::size_t i = 0; i < eligible.size(); ++i) {
      const auto index = eligible[kMisdeed == "none_but_last" ? eligible.size() - 1 - i : i];
      if (pick.allowed(index)) return index;
    }
    return LEMONADE_PICK_NONE;
  }

  void onEvent(const lemonade_strategy_event_t&, void*) noexcept {
    if (kMisdeed == "crash_in_event") crash();
  }

  void exportState(Writer writer) { writer.write("state"); }
  void importState(std::string_view, std::string_view) {
    if (kMisdeed == "crash_in_import") crash();
    if (kMisdeed == "refuse_in_import") throw std::runtime_error("that state is not mine");
  }

 private:
  static void throwOut() { throw std::runtime_error("a pick that throws"); }
};

}  // namespace

LEMONADE_STRATEGY(Misfit, .id = "com.example.misfit", .version = "1.0.0-" LEMONADE_MISDEED, .name = "Misfit",
                  .vendor = "Example", .doc = "Does one thing wrong.", .flags = LEMONADE_FLAG_UNLOAD_SAFE)
