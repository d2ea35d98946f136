// SPDX-License-Identifier: MIT
//
// Reads an ELF64 shared object as bytes, without running any of it: which symbols it exports and what their initial
// value in the file is, and what it asks of the dynamic linker. Works from the program headers, so a stripped file
// reads as well as any other. Every offset is checked: the bytes are a stranger's.
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

  /// One row of the table of symbols that it shares with others. Text is of the file.
  struct Symbol {
    std::string_view name;
    std::uint64_t address, size;
    unsigned char binding;  ///< STB_*
    bool defined;           ///< here, and not to be found elsewhere
  };
  std::vector<Symbol> symbols() const;

  /// One entry of the dynamic section, and one program header.
  struct Dynamic {
    std::int64_t tag;  ///< DT_*
    std::uint64_t value;
  };
  struct Header {
    std::uint32_t type;   ///< PT_*
    std::uint32_t flags;  ///< PF_*
  };
  const std::vector<Dynamic>& dynamic() const noexcept { return dynamic_; }
  const std::vector<Header>& headers() const noexcept { return headers_; }

  /// A text of the string table; "" where the offset is not in it.
  std::string_view text(std::uint64_t offset) const;

  /// The bytes that the file holds for an address; nothing where it does not hold all of them.
  std::optional<Bytes> atAddress(std::uint64_t address, std::uint64_t size) const;

  /// The name of a symbol that it defines as GNU-unique: all objects of the process share one, whatever version they
  /// are of. Nothing where there is none.
  std::optional<std::string_view> uniqueSymbol() const;

 private:
  struct Segment {
    std::uint64_t address, offset, size;
  };

  explicit ElfFile(Bytes file) : file_(file) {}
  Status readSegments();
  Status readDynamic();
  std::uint64_t countSymbols(std::uint64_t hash, std::uint64_t gnu_hash) const;

  Bytes file_;
  std::vector<Segment> segments_;
  std::vector<Header> headers_;
  std::vector<Dynamic> dynamic_;
  std::uint64_t dynamic_offset_ = 0;
  std::uint64_t dynamic_size_ = 0;
  std::uint64_t symbols_ = 0;
  std::uint64_t symbol_count_ = 0;
  Bytes strings_;
};

}  // namespace lemonade::plugin
