// SPDX-License-Identifier: MIT
//
// Reads an ELF64 shared object as bytes, without running any of it: which symbols it exports and what their initial
// value in the file is. Works from the program headers, so a stripped file reads as well as any other. Every offset is
// checked: the bytes are a stranger's.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace lemonade::plugin {

/// A view of a shared object's bytes; the bytes stay the caller's and must outlive it.
class ElfFile {
 public:
  using Bytes = std::span<const std::byte>;

  /// Fails where the bytes are no ELF64 shared object for this machine, or contradict themselves.
  static Result<ElfFile> parse(Bytes file);

  /// The bytes that the file holds for an exported symbol that it defines, as many as its size says; nothing where it
  /// defines no such symbol or the value is not in the file.
  std::optional<Bytes> exportedObject(std::string_view name) const;

  /// The name of a symbol that it defines as GNU-unique: all objects of the process share one, whatever version they are
  /// of. Nothing where there is none.
  std::optional<std::string_view> uniqueSymbol() const;

 private:
  struct Segment {
    std::uint64_t address, offset, size;
  };

  struct Symbol {
    std::string_view name;
    std::uint64_t address, size;
    unsigned char binding;
  };

  explicit ElfFile(Bytes file) : file_(file) {}
  Status readSegments();
  Status readDynamic();
  std::optional<Bytes> atAddress(std::uint64_t address, std::uint64_t size) const;
  std::uint64_t countSymbols(std::uint64_t hash, std::uint64_t gnu_hash) const;
  template <class Wanted>
  std::optional<Symbol> findDefined(Wanted wanted) const;

  Bytes file_;
  std::vector<Segment> segments_;
  std::uint64_t dynamic_offset_ = 0;
  std::uint64_t dynamic_size_ = 0;
  std::uint64_t symbols_ = 0;
  std::uint64_t symbol_count_ = 0;
  Bytes strings_;
};

}  // namespace lemonade::plugin
