// SPDX-License-Identifier: MIT
//
// What a shared object depends on, and whether this system has it: libraries, versions of libraries, symbols. The
// functions for what is absent load the libraries that the object names, and with that run their constructors: call
// them in a child process only. The object itself is never loaded.
#pragma once

#include "plugin/elf_file.h"

#include <string>
#include <vector>

namespace lemonade::validate {

/// A version of a library's symbols, such as GLIBC_2.34 of libc.so.6.
struct NeededVersion {
  std::string library;
  std::string version;
};

std::vector<std::string> neededLibraries(const plugin::ElfFile& elf);
std::vector<NeededVersion> neededVersions(const plugin::ElfFile& elf);

/// Those of them that this system has not.
std::vector<std::string> absentLibraries(const plugin::ElfFile& elf);
std::vector<NeededVersion> absentVersions(const plugin::ElfFile& elf);

/// Undefined symbols that neither the libraries it names nor this program define.
std::vector<std::string> absentSymbols(const plugin::ElfFile& elf);

}  // namespace lemonade::validate
