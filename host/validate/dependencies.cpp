// SPDX-License-Identifier: MIT
#include "validate/dependencies.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

namespace lemonade::validate {

namespace {

using plugin::ElfFile;

std::uint64_t valueOf(const ElfFile& elf, std::int64_t tag) {
  for (const auto& entry : elf.dynamic())
    if (entry.tag == tag) return entry.value;
  return 0;
}

template <class T>
std::optional<T> structAt(const ElfFile& elf, std::uint64_t address) {
  const auto bytes = elf.atAddress(address, sizeof(T));
  if (!bytes) return std::nullopt;
  T value;
  std::memcpy(&value, bytes->data(), sizeof(T));
  return value;
}

/// A library of this process, loaded where it was not and never let go: its constructors have run.
void* open(const std::string& library) { return ::dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL); }

/// The versions that a loaded library defines, from its dynamic section.
std::set<std::string> definedVersions(void* handle) {
  std::set<std::string> versions;
  link_map* map = nullptr;
  if (handle == nullptr || ::dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0) return versions;
  const char* definitions = nullptr;
  const char* strings = nullptr;
  // glibc has relocated these pointers, except in objects whose dynamic section is read only.
  const auto address = [&](Elf64_Addr value) {
    return reinterpret_cast<const char*>(value < map->l_addr ? value + map->l_addr : value);
  };
  for (const auto* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag == DT_VERDEF) definitions = address(entry->d_un.d_ptr);
    if (entry->d_tag == DT_STRTAB) strings = address(entry->d_un.d_ptr);
  }
  while (definitions != nullptr && strings != nullptr) {
    const auto* definition = reinterpret_cast<const Elf64_Verdef*>(definitions);
    const auto* name = reinterpret_cast<const Elf64_Verdaux*>(definitions + definition->vd_aux);
    versions.insert(strings + name->vda_name);
    definitions = definition->vd_next != 0 ? definitions + definition->vd_next : nullptr;
  }
  return versions;
}

}  // namespace

std::vector<std::string> neededLibraries(const ElfFile& elf) {
  std::vector<std::string> libraries;
  for (const auto& entry : elf.dynamic())
    if (entry.tag == DT_NEEDED) libraries.emplace_back(elf.text(entry.value));
  return libraries;
}

std::vector<NeededVersion> neededVersions(const ElfFile& elf) {
  std::vector<NeededVersion> versions;
  std::uint64_t at = valueOf(elf, DT_VERNEED);
  const std::uint64_t libraries = valueOf(elf, DT_VERNEEDNUM);
  for (std::uint64_t i = 0; i < libraries; ++i) {
    const auto need = structAt<Elf64_Verneed>(elf, at);
    if (!need) break;
    std::uint64_t name_at = at + need->vn_aux;
    for (std::uint32_t j = 0; j < need->vn_cnt; ++j) {
      const auto name = structAt<Elf64_Vernaux>(elf, name_at);
      if (!name) break;
      versions.push_back({std::string(elf.text(need->vn_file)), std::string(elf.text(name->vna_name))});
      name_at += name->vna_next;
    }
    at += need->vn_next;
  }
  return versions;
}

std::vector<std::string> absentLibraries(const ElfFile& elf) {
  auto libraries = neededLibraries(elf);
  std::erase_if(libraries, [](const auto& library) { return open(library) != nullptr; });
  return libraries;
}

std::vector<NeededVersion> absentVersions(const ElfFile& elf) {
  auto versions = neededVersions(elf);
  std::erase_if(versions, [](const auto& need) { return definedVersions(open(need.library)).contains(need.version); });
  return versions;
}

std::vector<std::string> absentSymbols(const ElfFile& elf) {
  std::vector<void*> libraries;
  for (const auto& library : neededLibraries(elf))
    if (void* handle = open(library)) libraries.push_back(handle);
  std::vector<std::string> absent;
  for (const auto& symbol : elf.symbols()) {
    if (symbol.defined || symbol.binding == STB_WEAK || symbol.name.empty()) continue;
    const std::string name(symbol.name);
    const bool found = ::dlsym(RTLD_DEFAULT, name.c_str()) != nullptr ||
                       std::any_of(libraries.begin(), libraries.end(),
                                   [&](void* handle) { return ::dlsym(handle, name.c_str()) != nullptr; });
    if (!found) absent.push_back(name);
  }
  return absent;
}

}  // namespace lemonade::validate
