// SPDX-License-Identifier: MIT
//
// The head of the entry symbol, read from the file: what the balancer decides by before it loads.
#include "plugin/kind.h"
#include "validate/check.h"

#include <lemonade/plugin.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace lemonade::validate {

namespace {

/// The part of the entry symbol that holds no pointer; zeros where the file has less.
struct Head {
  lemonade_plugin_tag_t tag;
  char id[sizeof(lemonade_plugin_t::id)];
  char version[sizeof(lemonade_plugin_t::version)];
};

Head headOf(const Subject& subject) {
  Head head{};
  const auto entry = subject.elf->exportedObject(LEMONADE_ENTRY_SYMBOL);
  if (entry && entry->size() >= sizeof(head)) std::memcpy(&head, entry->data(), sizeof(head));
  return head;
}

std::string minor(unsigned number) { return std::to_string(LEMONADE_ABI_MAJOR) + "." + std::to_string(number); }

Outcome magic(const Subject& subject) {
  const auto head = headOf(subject);
  return std::memcmp(head.tag.magic, LEMONADE_MAGIC, sizeof(head.tag.magic)) == 0
             ? pass()
             : fail("the entry symbol holds no tag in the file; something fills it at run time, or never");
}

Outcome major(const Subject& subject) {
  const auto number = headOf(subject).tag.abi_major;
  return number == LEMONADE_ABI_MAJOR
             ? pass()
             : fail("it is built for ABI " + std::to_string(number) + ".x; this host has " + minor(LEMONADE_ABI_MINOR));
}

Outcome needMinor(const Subject& subject) {
  const auto tag = headOf(subject).tag;
  if (tag.need_minor > tag.abi_minor)
    return fail("it needs ABI " + minor(tag.need_minor) + " but is built with " + minor(tag.abi_minor));
  return tag.need_minor <= LEMONADE_ABI_MINOR
             ? pass()
             : fail("it needs ABI " + minor(tag.need_minor) + "; this host has " + minor(LEMONADE_ABI_MINOR));
}

Outcome layout(const Subject& subject) {
  return headOf(subject).tag.layout_hash == LEMONADE_LAYOUT_HASH
             ? pass()
             : fail("its layout_hash is " + std::to_string(headOf(subject).tag.layout_hash) + ", not " +
                    std::to_string(LEMONADE_LAYOUT_HASH));
}

Outcome kinds(const Subject& subject) {
  const auto mask = headOf(subject).tag.kinds;
  if ((mask & plugin::kKnownKinds) == 0) return fail("it is of no kind (kinds is " + std::to_string(mask) + ")");
  return (mask & ~plugin::kKnownKinds) == 0
             ? pass()
             : warn("it claims kinds that ABI " + minor(LEMONADE_ABI_MINOR) + " has not");
}

Outcome reserved(const Subject& subject) {
  const auto tag = headOf(subject).tag;
  const bool zero = tag.reserved0 == 0 && std::all_of(std::begin(tag.reserved), std::end(tag.reserved),
                                                      [](std::uint8_t byte) { return byte == 0; });
  if (!zero) return fail("a reserved byte of its tag is not 0: a later ABI will give it a meaning");
  return (tag.flags & ~LEMONADE_FLAG_UNLOAD_SAFE) == 0 ? pass() : fail("it sets flags that the ABI does not have");
}

Outcome id(const Subject& subject) {
  const auto head = headOf(subject);
  const std::string_view text(head.id, ::strnlen(head.id, sizeof(head.id)));
  if (text.empty() || text.size() == sizeof(head.id)) return fail("its id is empty or not terminated");
  const bool valid = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  });
  return valid ? pass() : fail("its id is \"" + std::string(text) + "\"");
}

Outcome version(const Subject& subject) {
  const auto head = headOf(subject);
  const std::string text(head.version, ::strnlen(head.version, sizeof(head.version)));
  if (text.empty() || text.size() == sizeof(head.version)) return fail("its version is empty or not terminated");
  unsigned numbers[3];
  if (std::sscanf(text.c_str(), "%u.%u.%u", &numbers[0], &numbers[1], &numbers[2]) == 3) return pass();
  return warn("its version \"" + text + "\" is no semantic version");
}

Outcome loadable(const Subject& subject) {
  return subject.loadable ? pass() : fail("the balancer refuses it: it " + subject.refusal);
}

constexpr const char* kRebuild = "build it with this host's headers";

constexpr Check kChecks[] = {
    {"tag.magic", "shows its tag in the file", "declare the entry symbol constinit, with the macros of the SDK", magic,
     "elf.entry"},
    {"tag.major", "is built for this major version of the ABI", kRebuild, major, "tag.magic"},
    {"tag.minor", "needs no newer minor version", "run a newer host, or need less", needMinor, "tag.major"},
    {"tag.layout", "lays out the structs as the ABI does", "use the headers as they are, with the default packing",
     layout, "tag.major"},
    {"tag.kinds", "is of a kind that the host knows", "set the bits of its kinds and no others", kinds, "tag.major"},
    {"tag.reserved", "leaves what is reserved at 0", "set it to 0", reserved, "tag.major"},
    {"tag.id", "has a valid id", "use lower-case letters, digits, '_', '.', '-', at most 63", id, "tag.magic"},
    {"tag.version", "has a version", "give it a semantic version such as 1.0.0", version, "tag.magic"},
    {"tag.accepted", "is accepted by the balancer", "see what it says", loadable,
     "file.owner file.mode elf.unique tag.minor tag.layout tag.kinds tag.id tag.version"},
};

}  // namespace

std::span<const Check> tagChecks() { return kChecks; }

}  // namespace lemonade::validate
