// SPDX-License-Identifier: MIT
#include "plugin/elf_file.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace lemonade::plugin {

namespace {

#if defined(__x86_64__)
constexpr Elf64_Half kMachine = EM_X86_64;
constexpr const char* kMachineName = "x86-64";
#elif defined(__aarch64__)
constexpr Elf64_Half kMachine = EM_AARCH64;
constexpr const char* kMachineName = "AArch64";
#else
#error "add this machine's ELF number"
#endif

/// A T at an offset, copied because the file's alignment is not ours; nothing where it is out of bounds.
template <class T>
std::optional<T> readAt(ElfFile::Bytes bytes, std::uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

}  // namespace

Result<ElfFile> ElfFile::parse(Bytes file) {
  const auto header = readAt<Elf64_Ehdr>(file, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return Error{"is no ELF file"};
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
    return Error{"is not a 64-bit little-endian ELF file"};
  if (header->e_machine != kMachine)
    return Error{"is built for another machine (ELF machine " + std::to_string(header->e_machine) + "); this host is " +
                 kMachineName};
  if (header->e_type != ET_DYN) return Error{"is no shared object (build it with -shared)"};

  // Nothing here needs the section headers, but linkers write them last: where they are missing, so may be more.
  const std::uint64_t sections_size = std::uint64_t{header->e_shnum} * header->e_shentsize;
  if (header->e_shoff > file.size() || sections_size > file.size() - header->e_shoff)
    return Error{"is cut short: its section headers are missing"};

  ElfFile elf(file);
  if (auto read = elf.readSegments(); !read) return std::move(read).error();
  if (auto read = elf.readDynamic(); !read) return std::move(read).error();
  return elf;
}

Status ElfFile::readSegments() {
  const auto header = *readAt<Elf64_Ehdr>(file_, 0);
  if (header.e_phentsize != sizeof(Elf64_Phdr)) return Error{"has program headers of an unknown size"};
  for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = readAt<Elf64_Phdr>(file_, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (header.e_phoff > file_.size() || !segment) return Error{"is cut short: its program headers are missing"};
    headers_.push_back({segment->p_type, segment->p_flags});
    const bool inside = segment->p_offset <= file_.size() && segment->p_filesz <= file_.size() - segment->p_offset;
    if (segment->p_type == PT_LOAD) {
      if (!inside) return Error{"is cut short: a segment reaches beyond its end"};
      segments_.push_back({segment->p_vaddr, segment->p_offset, segment->p_filesz});
    } else if (segment->p_type == PT_DYNAMIC) {
      if (!inside) return Error{"is cut short: its dynamic section is missing"};
      dynamic_offset_ = segment->p_offset;
      dynamic_size_ = segment->p_filesz;
    }
  }
  if (dynamic_size_ == 0) return Error{"has no dynamic section"};
  return success();
}

Status ElfFile::readDynamic() {
  std::uint64_t hash = 0, gnu_hash = 0, strings = 0, strings_size = 0;
  for (std::uint64_t at = 0; at + sizeof(Elf64_Dyn) <= dynamic_size_; at += sizeof(Elf64_Dyn)) {
    const auto entry = *readAt<Elf64_Dyn>(file_, dynamic_offset_ + at);
    if (entry.d_tag == DT_NULL) break;
    dynamic_.push_back({entry.d_tag, entry.d_un.d_val});
    if (entry.d_tag == DT_SYMTAB) symbols_ = entry.d_un.d_ptr;
    if (entry.d_tag == DT_STRTAB) strings = entry.d_un.d_ptr;
    if (entry.d_tag == DT_STRSZ) strings_size = entry.d_un.d_val;
    if (entry.d_tag == DT_HASH) hash = entry.d_un.d_ptr;
    if (entry.d_tag == DT_GNU_HASH) gnu_hash = entry.d_un.d_ptr;
  }
  const auto table = atAddress(strings, strings_size);
  if (symbols_ == 0 || !table || table->empty()) return Error{"has no table of exported symbols"};
  strings_ = *table;
  symbol_count_ = countSymbols(hash, gnu_hash);
  return success();
}

std::optional<ElfFile::Bytes> ElfFile::atAddress(std::uint64_t address, std::uint64_t size) const {
  for (const auto& segment : segments_) {
    if (address < segment.address || address - segment.address > segment.size) continue;
    const std::uint64_t skip = address - segment.address;
    if (size <= segment.size - skip) return file_.subspan(segment.offset + skip, size);
  }
  return std::nullopt;
}

// The dynamic section does not say how many symbols there are: the old hash table does in its second word, the GNU one
// in the chain of the highest bucket.
std::uint64_t ElfFile::countSymbols(std::uint64_t hash, std::uint64_t gnu_hash) const {
  const auto word = [&](std::uint64_t address) -> std::optional<std::uint32_t> {
    const auto bytes = atAddress(address, sizeof(std::uint32_t));
    return bytes ? readAt<std::uint32_t>(*bytes, 0) : std::nullopt;
  };
  if (hash != 0) return word(hash + 4).value_or(0);
  const std::uint64_t buckets = word(gnu_hash).value_or(0);
  const std::uint64_t first = word(gnu_hash + 4).value_or(0);
  const std::uint64_t bloom = word(gnu_hash + 8).value_or(0);
  const std::uint64_t bucket_table = gnu_hash + 16 + bloom * 8;
  std::uint64_t last = 0;
  for (std::uint64_t i = 0; i < buckets; ++i) {
    const auto bucket = word(bucket_table + i * 4);
    if (!bucket) return 0;
    last = std::max<std::uint64_t>(last, *bucket);
  }
  if (last < first) return 0;
  for (const std::uint64_t chains = bucket_table + buckets * 4;; ++last) {
    const auto chain = word(chains + (last - first) * 4);
    if (!chain) return 0;
    if (*chain & 1) return last + 1;
  }
}

std::string_view ElfFile::text(std::uint64_t offset) const {
  if (offset >= strings_.size()) return {};
  const auto* text = reinterpret_cast<const char*>(strings_.data()) + offset;
  return {text, ::strnlen(text, strings_.size() - offset)};
}

std::vector<ElfFile::Symbol> ElfFile::symbols() const {
  std::vector<Symbol> symbols;
  for (std::uint64_t i = 1; i < symbol_count_; ++i) {  // the first row is none
    const auto bytes = atAddress(symbols_ + i * sizeof(Elf64_Sym), sizeof(Elf64_Sym));
    if (!bytes) break;
    const auto symbol = *readAt<Elf64_Sym>(*bytes, 0);
    if (symbol.st_name >= strings_.size()) continue;
    symbols.push_back({text(symbol.st_name), symbol.st_value, symbol.st_size,
                       static_cast<unsigned char>(ELF64_ST_BIND(symbol.st_info)), symbol.st_shndx != SHN_UNDEF});
  }
  return symbols;
}

std::optional<ElfFile::Bytes> ElfFile::exportedObject(std::string_view name) const {
  for (const auto& symbol : symbols())
    if (symbol.defined && symbol.name == name) return atAddress(symbol.address, symbol.size);
  return std::nullopt;
}

std::optional<std::string_view> ElfFile::uniqueSymbol() const {
  for (const auto& symbol : symbols())
    if (symbol.defined && symbol.binding == STB_GNU_UNIQUE) return symbol.name;
  return std::nullopt;
}

}  // namespace lemonade::plugin
