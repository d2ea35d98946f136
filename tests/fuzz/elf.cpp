// SPDX-License-Identifier: MIT
//
// A shared object, as the loader and plugin-validate read it before they run any of it.
#include "target.h"

#include "plugin/elf_file.h"

using lemonade::fuzz::require;
using lemonade::plugin::ElfFile;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ElfFile::Bytes file(reinterpret_cast<const std::byte*>(data), size);
  const auto parsed = ElfFile::parse(file);
  if (!parsed) {
    require(!parsed.error().message.empty(), "a refusal says why");
    return 0;
  }
  const auto& elf = parsed.value();
  std::uint64_t sum = 0;  // every byte that is handed out is read
  const auto inside = [&](const auto* begin, std::size_t bytes) {
    const auto* first = reinterpret_cast<const std::byte*>(begin);
    require(bytes == 0 || (first >= file.data() && bytes <= size && first <= file.data() + (size - bytes)),
            "what is handed out lies in the file");
    for (std::size_t i = 0; i < bytes; ++i) sum += static_cast<std::uint8_t>(first[i]);
  };
  const auto symbols = elf.symbols();
  require(symbols.size() <= size, "there are no more symbols than bytes");
  for (const auto& symbol : symbols) {
    inside(symbol.name.data(), symbol.name.size());
    if (const auto object = elf.atAddress(symbol.address, symbol.size)) inside(object->data(), object->size());
  }
  for (const auto& entry : elf.dynamic()) {
    const auto text = elf.text(entry.value);
    inside(text.data(), text.size());
    if (const auto one = elf.atAddress(entry.value, 1)) inside(one->data(), one->size());
  }
  if (const auto entry = elf.exportedObject("lemonade_plugin_v1")) inside(entry->data(), entry->size());
  if (const auto unique = elf.uniqueSymbol()) inside(unique->data(), unique->size());
  [[maybe_unused]] static volatile std::uint64_t kept;
  kept = sum;
  return 0;
}
