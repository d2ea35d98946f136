// SPDX-License-Identifier: MIT
//
// The ELF reader on a real plugin, cut and bent in every place: it must answer or refuse, never read beyond the bytes.
#include "plugin/elf_file.h"

#include "plugin/plugin_file.h"

#include <lemonade/plugin.h>
#include <catch2/catch.hpp>

#include <cstring>
#include <random>

using namespace lemonade::plugin;

namespace {

std::vector<std::byte> roundRobin() {
  auto file = readPluginFile(LEMONADE_TEST_PLUGINS "/round_robin.so");
  REQUIRE(file);
  return std::move(file).value().content;
}

/// Exact in size, so that a sanitizer sees any read beyond the end.
void look(const std::vector<std::byte>& bytes) {
  const std::vector<std::byte> exact(bytes.begin(), bytes.end());
  if (auto elf = ElfFile::parse(exact); elf) (void)elf.value().exportedObject(LEMONADE_ENTRY_SYMBOL);
}

}  // namespace

TEST_CASE("ElfFile finds the tag of a plugin without running it", "[plugin]") {
  const auto bytes = roundRobin();
  auto elf = ElfFile::parse(bytes);
  REQUIRE(elf);
  const auto entry = elf.value().exportedObject(LEMONADE_ENTRY_SYMBOL);
  REQUIRE(entry);
  CHECK(entry->size() == sizeof(lemonade_plugin_t));
  CHECK(std::memcmp(entry->data(), LEMONADE_MAGIC, 8) == 0);
}

TEST_CASE("ElfFile knows nothing of symbols that are not exported", "[plugin]") {
  const auto bytes = roundRobin();
  auto elf = ElfFile::parse(bytes);
  REQUIRE(elf);
  CHECK_FALSE(elf.value().exportedObject("lemonade_plugin_v2"));
  CHECK_FALSE(elf.value().exportedObject("strlen"));
}

TEST_CASE("ElfFile refuses what is no shared object for this machine", "[plugin]") {
  auto bytes = roundRobin();
  const auto refused = [](const std::vector<std::byte>& file, const std::string& why) {
    auto elf = ElfFile::parse(file);
    REQUIRE_FALSE(elf);
    CHECK_THAT(elf.error().message, Catch::Contains(why));
  };
  refused({}, "no ELF file");
  refused(std::vector<std::byte>(1000), "no ELF file");
  auto other = bytes;
  other[18] = std::byte{0xf3};  // RISC-V
  refused(other, "another machine");
  other = bytes;
  other[4] = std::byte{1};
  refused(other, "64-bit");
  other = bytes;
  other[16] = std::byte{1};  // relocatable
  refused(other, "no shared object");
}

TEST_CASE("ElfFile survives a file cut at any length", "[plugin]") {
  const auto bytes = roundRobin();
  for (std::size_t size = 0; size < bytes.size(); size += size < 1024 ? 7 : 211)
    look({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)});
}

TEST_CASE("ElfFile refuses a file that lacks so much as its last byte and takes one that has more", "[plugin]") {
  auto bytes = roundRobin();
  bytes.pop_back();
  auto elf = ElfFile::parse(bytes);
  REQUIRE_FALSE(elf);
  CHECK_THAT(elf.error().message, Catch::Contains("is cut short"));
  bytes.resize(bytes.size() + 100);
  CHECK(ElfFile::parse(bytes));
}

TEST_CASE("ElfFile survives flipped bytes anywhere", "[plugin]") {
  const auto bytes = roundRobin();
  std::minstd_rand random(1);
  for (int round = 0; round < 2'000; ++round) {
    auto bent = bytes;
    for (int i = 0; i < 4; ++i) {
      const std::size_t range = i < 2 ? 4096 : bent.size();  // the headers deserve most of it
      bent[random() % range] = static_cast<std::byte>(random());
    }
    look(bent);
  }
}
