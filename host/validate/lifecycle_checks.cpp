// SPDX-License-Identifier: MIT
//
// Instances: made, ended, many at once and many times over; and without memory.
#include "validate/allocations.h"
#include "validate/harness.h"

#include <filesystem>
#include <memory>

namespace lemonade::validate {

namespace {

constexpr std::uint32_t kCycles = 1'000;

std::size_t entriesOf(const char* folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

Outcome create(const Subject& subject) {
  const Code code(subject);
  try {
    forEachKind(code.kinds(), [&]<class Table>(std::type_identity<Table>) { const Live<Table> once(subject, code); });
  } catch (const Fault& fault) {
    const auto sampled = sampledOptions(subject, code.entry());
    if (sampled.empty()) throw;
    std::string keys, flags;
    for (const auto& key : sampled) {
      keys += (keys.empty() ? "" : ", ") + key;
      flags += " --option " + key + "=VALUE";
    }
    throw Fault{fault.found + " (with a made-up value for " + keys + ", which has no default)",
                "give what has no default a value that it takes:" + flags};
  }
  return pass();
}

/// Several instances at once, ended in another order than they were made in.
Outcome several(const Subject& subject) {
  const Code code(subject);
  forEachKind(code.kinds(), [&]<class Table>(std::type_identity<Table>) {
    std::vector<std::unique_ptr<Live<Table>>> all;
    for (int i = 0; i < 4; ++i) all.push_back(std::make_unique<Live<Table>>(subject, code));
    for (const std::size_t i : {1, 3, 0, 2}) all[i].reset();
  });
  return pass();
}

/// What one life of an instance leaves behind shows after a thousand of them.
Outcome repeated(const Subject& subject) {
  const Code code(subject);
  const auto live = [&] {
    forEachKind(code.kinds(), [&]<class Table>(std::type_identity<Table>) { const Live<Table> once(subject, code); });
  };
  for (int i = 0; i < 10; ++i) live();  // what is set up once and kept
  const auto blocks = blocksInUse();
  const auto descriptors = entriesOf("/proc/self/fd");
  const auto threads = entriesOf("/proc/self/task");
  const auto cycles = subject.times(kCycles);
  for (std::uint32_t i = 0; i < cycles; ++i) live();
  require(entriesOf("/proc/self/fd") < descriptors + cycles / 2, "each instance leaves a descriptor open");
  require(entriesOf("/proc/self/task") < threads + cycles / 2, "each instance leaves a thread running");
  const auto leaked = blocksInUse() - blocks;
  require(leaked < cycles / 2,
          std::to_string(cycles) + " instances leave " + std::to_string(leaked) + " blocks of memory");
  return pass();
}

/// Fails its first allocation, its second, and so on, until it needs no more: each time it has to say so.
Outcome withoutMemory(const Subject& subject) {
  if (!kCountsAllocations) return skip("allocations cannot be made to fail under a sanitizer");
  const Code code(subject);
  forEachKind(code.kinds(), [&]<class Table>(std::type_identity<Table>) {
    const auto& table = code.table<Table>();
    for (std::int64_t succeed = 0; succeed < 200; ++succeed) {
      Values values(subject, code.entry());
      lemonade_error_t error{sizeof(error), 0, {}, {}};
      void* self = nullptr;
      const auto* host = soloHost();
      stage("creating an instance without memory");
      failAllocationsAfter(succeed);
      const auto status = table.create(host, values.get(), &self, &error);
      failAllocationsAfter(-1);
      if (status != LEMONADE_OK) {
        requireError(code.entry(), status, error);
        continue;
      }
      table.destroy(self);
      return;
    }
  });
  return pass();
}

constexpr Check kCreation[] = {
    {"lifecycle.create", "starts with its defaults and ends", "create must bear the defaults of its schema", create,
     "descriptor.options descriptor.interfaces", 0, false, true},
};

constexpr Check kChecks[] = {
    {"lifecycle.several", "bears several instances at once", "keep all state in the instance", several,
     "process.create"},
    {"lifecycle.repeated", "leaves nothing behind when it ends", "release in destroy what create made", repeated,
     "process.create"},
    {"lifecycle.memory", "says so where memory runs out",
     "look at what every allocation returns, and catch std::bad_alloc", withoutMemory, "lifecycle.repeated"},
};

}  // namespace

std::span<const Check> creationChecks() { return kCreation; }
std::span<const Check> lifecycleChecks() { return kChecks; }

}  // namespace lemonade::validate
