// SPDX-License-Identifier: MIT
#include "plugin/catalog.h"

#include <lemonade/plugin.h>
#include <stdlib.h>
#include <catch2/catch.hpp>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>

using namespace lemonade::plugin;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  Fixture() {
    std::string name = (fs::temp_directory_path() / "lemonade-catalog-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    root = name;
    for (const char* directory : {"first", "second"}) fs::create_directory(root / directory);
  }
  ~Fixture() { fs::remove_all(root); }

  void put(const char* directory, const char* name) {
    fs::copy_file(LEMONADE_TEST_PLUGINS "/round_robin.so", root / directory / name);
    fs::permissions(root / directory / name, fs::perms{0644});
  }
  /// Writes another version into the entry symbol.
  void setVersion(const char* directory, const char* name, const std::string& version) {
    std::fstream file(root / directory / name, std::ios::in | std::ios::out | std::ios::binary);
    const std::string content(std::istreambuf_iterator<char>(file), {});
    const auto entry = content.find(LEMONADE_MAGIC);
    REQUIRE(entry != std::string::npos);
    file.clear();
    file.seekp(static_cast<std::streamoff>(entry + offsetof(lemonade_plugin_t, version)));
    file.write(version.c_str(), static_cast<std::streamsize>(version.size() + 1));
    REQUIRE(file.good());
  }
  Catalog scan() { return Catalog::scan({(root / "first").string(), (root / "second").string()}, known); }

  fs::path root;
  KnownFiles known;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "Catalog finds a plugin by the id in its file whatever the file is called", "[plugin]") {
  put("second", "anything.so");
  const auto catalog = scan();
  REQUIRE(catalog.plugins.count("round_robin") == 1);
  const auto& entry = catalog.plugins.at("round_robin");
  CHECK(entry.kinds == LEMONADE_KIND_STRATEGY);
  CHECK(entry.version == "1.0.0");
  CHECK(catalog.remarks.empty());
  CHECK(catalog.idsOfKind(LEMONADE_KIND_STRATEGY) == "round_robin");
  CHECK(catalog.idsOfKind(LEMONADE_KIND_METRICS_SINK) == "none");
}

TEST_CASE_METHOD(Fixture, "Catalog lets the first directory win and says so", "[plugin]") {
  put("first", "a.so");
  put("second", "b.so");
  const auto catalog = scan();
  CHECK_THAT(catalog.plugins.at("round_robin").path, Catch::EndsWith("first/a.so"));
  REQUIRE(catalog.remarks.size() == 1);
  CHECK(catalog.remarks[0].path == (root / "second" / "b.so").string());
  CHECK_THAT(catalog.remarks[0].text, Catch::Contains("second/b.so") && Catch::Contains("first/a.so"));
}

TEST_CASE_METHOD(Fixture, "Catalog lets the higher version win wherever it is and says so", "[plugin]") {
  put("first", "old.so");
  put("second", "new.so");
  setVersion("second", "new.so", "1.0.1");
  put("second", "older.so");
  setVersion("second", "older.so", "0.9.0");
  const auto catalog = scan();
  CHECK(catalog.plugins.at("round_robin").version == "1.0.1");
  CHECK_THAT(catalog.plugins.at("round_robin").path, Catch::EndsWith("second/new.so"));
  REQUIRE(catalog.remarks.size() == 2);
  CHECK(catalog.remarks[0].path == (root / "first" / "old.so").string());
  CHECK_THAT(catalog.remarks[0].text, Catch::EndsWith("taken by " + (root / "second" / "new.so").string() +
                                                      ", whose version 1.0.1 is higher than 1.0.0"));
  CHECK(catalog.remarks[1].path == (root / "second" / "older.so").string());
}

TEST_CASE_METHOD(Fixture, "Catalog names a file that is no plugin and goes on", "[plugin]") {
  std::ofstream(root / "first" / "garbage.so") << "this is no ELF file";
  std::ofstream(root / "first" / "README") << "this is not looked at";
  put("first", "good.so");
  const auto catalog = scan();
  CHECK(catalog.plugins.size() == 1);
  REQUIRE(catalog.remarks.size() == 1);
  CHECK_THAT(catalog.remarks[0].text, Catch::Contains("garbage.so") && Catch::Contains("no ELF file"));
}

TEST_CASE_METHOD(Fixture, "Catalog refuses a file that others may write", "[plugin]") {
  put("first", "open.so");
  fs::permissions(root / "first" / "open.so", fs::perms{0666});
  const auto catalog = scan();
  CHECK(catalog.plugins.empty());
  REQUIRE(catalog.remarks.size() == 1);
  CHECK_THAT(catalog.remarks[0].text, Catch::Contains("writable by group or others"));
}

TEST_CASE_METHOD(Fixture, "Catalog says which directory cannot be read", "[plugin]") {
  fs::remove_all(root / "second");
  const auto catalog = scan();
  REQUIRE(catalog.remarks.size() == 1);
  CHECK_THAT(catalog.remarks[0].text, Catch::Contains("second"));
}

TEST_CASE_METHOD(Fixture, "Catalog scans a directory once however often it is named", "[plugin]") {
  put("first", "a.so");
  const auto catalog = Catalog::scan({(root / "first").string(), (root / "." / "first").string()}, known);
  CHECK(catalog.remarks.empty());
}
