// SPDX-License-Identifier: MIT
#include "balance/backend.h"

#include <catch2/catch.hpp>

using namespace lemonade;

namespace {

const config::Backend kSettings{.id = "a", .name = "a", .host = "10.0.0.1", .port = 80};

std::uint64_t identityIn(const std::string& pool) {
  return Backend::identityOf(kSettings, *Address::parse("10.0.0.1:80"), pool);
}

}  // namespace

TEST_CASE("Backends of the same id and address in two pools are two backends", "[balance]") {
  CHECK(identityIn("web") != identityIn("database"));
  CHECK(identityIn("web") != identityIn("default"));
  CHECK(identityIn("web") == identityIn("web"));
  const Backend backend(kSettings, *Address::parse("10.0.0.1:80"), 1, "web");
  CHECK(backend.pool() == "web");
  CHECK(backend.identity() == identityIn("web"));
}

TEST_CASE("A backend of the default pool is the same one as in versions that know no other pool", "[balance]") {
  // FNV-1a of "a", a zero byte and "10.0.0.1:80".
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : std::string_view("a\00010.0.0.1:80", 13))
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  CHECK(identityIn("default") == hash);
}
