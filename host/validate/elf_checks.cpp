// SPDX-License-Identifier: MIT
//
// The file as the dynamic linker will see it.
#include "validate/check.h"
#include "validate/dependencies.h"

#include <elf.h>
#include <lemonade/plugin.h>

#include <algorithm>
#include <array>
#include <string>

namespace lemonade::validate {

namespace {

/// "a, b, c", of many the first few.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > kMost ? text + " and " + std::to_string(names.size() - kMost) + " more" : text;
}

const plugin::ElfFile::Dynamic* find(const Subject& subject, std::int64_t tag) {
  for (const auto& entry : subject.elf->dynamic())
    if (entry.tag == tag) return &entry;
  return nullptr;
}

bool hasFlag(const Subject& subject, std::int64_t tag, std::uint64_t flag) {
  const auto* entry = find(subject, tag);
  return entry != nullptr && (entry->value & flag) != 0;
}

Outcome format(const Subject& subject) { return subject.elf ? pass() : fail("it " + subject.elf_error); }

Outcome entry(const Subject& subject) {
  return subject.elf->exportedObject(LEMONADE_ENTRY_SYMBOL) ? pass() : fail("there is no " LEMONADE_ENTRY_SYMBOL);
}

Outcome exports(const Subject& subject) {
  std::vector<std::string> others;
  for (const auto& symbol : subject.elf->symbols())
    if (symbol.defined && symbol.binding != STB_GNU_UNIQUE && symbol.name != LEMONADE_ENTRY_SYMBOL)
      others.emplace_back(symbol.name);
  return others.empty() ? pass() : fail("it exports also " + listed(others));
}

Outcome unique(const Subject& subject) {
  const auto name = subject.elf->uniqueSymbol();
  return name ? fail("GNU-unique: " + std::string(*name)) : pass();
}

Outcome libraries(const Subject& subject) {
  const auto absent = absentLibraries(*subject.elf);
  return absent.empty() ? pass() : fail("this system has no " + listed(absent));
}

Outcome versions(const Subject& subject) {
  std::vector<std::string> absent;
  for (const auto& need : absentVersions(*subject.elf)) absent.push_back(need.version + " of " + need.library);
  return absent.empty() ? pass() : fail("this system lacks " + listed(absent));
}

Outcome undefined(const Subject& subject) {
  const auto absent = absentSymbols(*subject.elf);
  return absent.empty() ? pass() : fail("nobody defines " + listed(absent));
}

Outcome textRelocations(const Subject& subject) {
  return find(subject, DT_TEXTREL) != nullptr || hasFlag(subject, DT_FLAGS, DF_TEXTREL)
             ? fail("its code has to be changed to be loaded (text relocations)")
             : pass();
}

Outcome executableStack(const Subject& subject) {
  for (const auto& header : subject.elf->headers())
    if (header.type == PT_GNU_STACK)
      return (header.flags & PF_X) != 0 ? fail("it asks for an executable stack") : pass();
  return fail("it does not say that its stack need not be executable");
}

Outcome runPath(const Subject& subject) {
  for (const auto tag : {DT_RPATH, DT_RUNPATH})
    if (const auto* path = find(subject, tag))
      return fail("it looks for libraries in " + std::string(subject.elf->text(path->value)));
  return pass();
}

Outcome staticTls(const Subject& subject) {
  return hasFlag(subject, DT_FLAGS, DF_STATIC_TLS) ? fail("its thread-local variables are of the initial-exec model")
                                                   : pass();
}

Outcome stays(const Subject& subject) {
  return hasFlag(subject, DT_FLAGS_1, DF_1_NODELETE) ? warn("it asks never to be unmapped (-z nodelete)") : pass();
}

Outcome bindsNow(const Subject& subject) {
  return find(subject, DT_BIND_NOW) != nullptr || hasFlag(subject, DT_FLAGS, DF_BIND_NOW) ||
                 hasFlag(subject, DT_FLAGS_1, DF_1_NOW)
             ? pass()
             : warn("its symbols may be bound late, in the middle of a pick");
}

Outcome imports(const Subject& subject) {
  // What acts on the whole process, which is not the plugin's.
  constexpr std::array<std::string_view, 22> risky = {
      "exit",   "_exit",  "_Exit",     "quick_exit", "fork",          "vfork",         "system", "popen",
      "execve", "execvp", "signal",    "sigaction",  "setlocale",     "chdir",         "umask",  "setenv",
      "putenv", "alarm",  "setitimer", "setrlimit",  "at_quick_exit", "pthread_atfork"};
  std::vector<std::string> found;
  for (const auto& symbol : subject.elf->symbols())
    if (!symbol.defined && std::find(risky.begin(), risky.end(), symbol.name) != risky.end())
      found.emplace_back(symbol.name);
  return found.empty() ? pass() : warn("it may call " + listed(found));
}

constexpr const char* kFlags = "build it with lemonade_add_plugin(), or with the flags of pkg-config lemonade-plugin";
constexpr const char* kOlder = "build it on the oldest system that it is to run on";

constexpr Check kChecks[] = {
    {"elf.format", "is a shared object for this machine", "build it with -shared -fPIC for this machine", format,
     "file.regular"},
    {"elf.entry", "exports " LEMONADE_ENTRY_SYMBOL,
     "define it with LEMONADE_STRATEGY, LEMONADE_HEALTH_CHECKER or LEMONADE_METRICS_SINK", entry, "elf.format"},
    {"elf.exports", "exports nothing else", kFlags, exports, "elf.format"},
    {"elf.unique", "shares no GNU-unique symbols with its other versions", kFlags, unique, "elf.format"},
    {"elf.libraries", "finds the libraries that it needs", "install them, or link them statically", libraries,
     "elf.format", 0, true},
    {"elf.versions", "finds them in the versions that it needs", kOlder, versions, "elf.format elf.libraries", 0, true},
    {"elf.undefined", "uses no symbol that nobody defines", "link what defines it; -Wl,-z,defs shows it at build time",
     undefined, "elf.format elf.libraries elf.versions", 0, true},
    {"elf.text_relocations", "is position independent", "compile all of it with -fPIC", textRelocations, "elf.format"},
    {"elf.stack", "needs no executable stack", "link with -Wl,-z,noexecstack, and use no nested functions",
     executableStack, "elf.format"},
    {"elf.run_path", "looks for libraries where the system does", "link without -rpath", runPath, "elf.format"},
    {"elf.static_tls", "takes none of the scarce static thread-local memory",
     "compile without -ftls-model=initial-exec", staticTls, "elf.format"},
    {"elf.now", "is bound when it is loaded", "link with -Wl,-z,now", bindsNow, "elf.format"},
    {"elf.unload", "does not forbid to unmap it", "link without -z nodelete", stays, "elf.format"},
    {"elf.imports", "calls nothing that changes the whole process",
     "leave signals, environment and processes to the host", imports, "elf.format"},
};

}  // namespace

std::span<const Check> elfChecks() { return kChecks; }

}  // namespace lemonade::validate
