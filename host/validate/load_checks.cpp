// SPDX-License-Identifier: MIT
//
// What loading alone does, and whether two generations stand beside each other.
#include "validate/harness.h"

#include <dlfcn.h>
#include <locale.h>
#include <signal.h>

#include <array>
#include <filesystem>
#include <map>

namespace lemonade::validate {

namespace {

/// What belongs to the process and not to a plugin.
struct Belongings {
  std::size_t threads;
  std::size_t descriptors;
  std::array<void (*)(int), 32> handlers{};
  std::string locale;
  std::string folder;

  static std::size_t count(const char* folder) {
    std::size_t entries = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++entries;
    return entries;
  }

  static Belongings now() {
    Belongings all{count("/proc/self/task"),
                   count("/proc/self/fd"),
                   {},
                   ::setlocale(LC_ALL, nullptr),
                   std::filesystem::current_path()};
    for (int signal = 1; signal < 32; ++signal) {
      struct sigaction action {};
      ::sigaction(signal, nullptr, &action);
      all.handlers[static_cast<std::size_t>(signal)] = action.sa_handler;
    }
    return all;
  }
};

void requireUntouched(const Belongings& before, const Belongings& after, std::size_t own_descriptors) {
  require(after.threads == before.threads, "it starts a thread");
  require(after.descriptors == before.descriptors + own_descriptors, "it leaves a descriptor open");
  require(after.handlers == before.handlers, "it installs a signal handler");
  require(after.locale == before.locale, "it changes the locale to " + after.locale);
  require(after.folder == before.folder, "it changes the working directory");
  require(writtenSoFar().empty(), "it writes: " + writtenSoFar());
}

Outcome opens(const Subject& subject) {
  const Code code(subject);
  return pass();
}

Outcome quiet(const Subject& subject) {
  const auto before = Belongings::now();
  const Code code(subject);
  requireUntouched(before, Belongings::now(), 1);  // the private copy is one
  return pass();
}

Outcome generations(const Subject& subject) {
  const Code first(subject, 1);
  const Code second(subject, 2);
  require(&first.entry() != &second.entry(), "both have one entry symbol");
  const auto imageOf = [](const void* address) -> const void* {
    Dl_info info;
    return ::dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
  };
  for (const auto* code : {&first, &second}) {
    stage("asking for an interface");
    forEachKind(code->kinds(), [&]<class Table>(std::type_identity<Table>) {
      const auto* table = code->entry().get_interface(str(kKindOf<Table>.interface_id));
      require(table == nullptr || imageOf(table) == imageOf(&code->entry()),
              "the table of one generation lies in another's memory");
    });
  }
  return pass();
}

Outcome unloads(const Subject& subject) {
  if ((subject.loadable->flags & LEMONADE_FLAG_UNLOAD_SAFE) == 0)
    return skip("it does not say that it may be unmapped");
  Code code(subject);
  const auto before = plugin::Image::mapped();
  stage("being unloaded");
  code.unload();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return skip("nothing is unmapped under a sanitizer");
#endif
  return plugin::Image::mapped() < before ? pass()
                                          : warn(
                                                "it says that it may be unmapped, but the dynamic linker keeps it "
                                                "(thread_local with a destructor?)");
}

constexpr Check kChecks[] = {
    {"load.opens", "loads", "see what the dynamic linker says", opens},
    {"load.quiet", "touches nothing of the process when it is loaded",
     "do in create what is done by a constructor of the image, and leave the process alone", quiet, "load.opens"},
    {"load.generations", "keeps two generations of itself apart",
     "hold state in the instance, not in the environment or in other libraries", generations, "load.opens"},
    {"load.unloads", "is unmapped as it declares", "clear LEMONADE_FLAG_UNLOAD_SAFE (.flags = 0)", unloads,
     "load.opens"},
};

}  // namespace

std::span<const Check> loadChecks() { return kChecks; }

}  // namespace lemonade::validate
