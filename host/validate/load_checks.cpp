// SPDX-License-Identifier: MIT
//
// What loading alone does, and whether two generations stand beside each other.
#include "plugin/process_state.h"
#include "validate/harness.h"

#include <dlfcn.h>

namespace lemonade::validate {

namespace {

Outcome opens(const Subject& subject) {
  const Code code(subject);
  return pass();
}

Outcome quiet(const Subject& subject) {
  const auto before = plugin::ProcessState::now();
  const Code code(subject);
  const auto after = plugin::ProcessState::now();
  if (const auto change = before.changeIn(after, {plugin::Moment::kLoaded, false, subject.loadable->id}))
    throw Fault{"it " + change->text, change->mend};
  require(writtenSoFar().empty(), "it writes: " + writtenSoFar(),
          "write nothing to standard output and standard error; log by the host table");
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
    {"load.opens", "loads", "see what the dynamic linker says", opens, "", 0, false, true},
    {"load.quiet", "touches nothing of the process when it is loaded",
     "do in create what is done by a constructor of the image, and leave the process alone", quiet, "load.opens", 0,
     false, true},
    {"load.generations", "keeps two generations of itself apart",
     "hold state in the instance, not in the environment or in other libraries", generations, "load.opens"},
    {"load.unloads", "is unmapped as it declares", "clear LEMONADE_FLAG_UNLOAD_SAFE (.flags = 0)", unloads,
     "load.opens"},
};

}  // namespace

std::span<const Check> loadChecks() { return kChecks; }

}  // namespace lemonade::validate
