// SPDX-License-Identifier: MIT
//
// Plugins that are replaced while they run: the same file name with new code, by every way a file changes, and
// everything that can go wrong with a replacement.
#include "e2e/reloading.h"
#include "support/facts.h"
#include "support/server.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

std::string contentOf(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// Three backends behind a strategy in a directory of its own, in a file that the test replaces.
struct Swapping {
  explicit Swapping(const std::string& version, const std::string& id)
      : algorithm(id), file(folder.path() / "swapped.so") {
    overwrite(version);
    balancer.emplace(config());
  }

  static fs::path version(const std::string& name) { return fs::path(LEMONADE_SWAPPED_FOLDER) / (name + ".so"); }

  Config config() const {
    return watched()
        .raw("plugins.directories", "[\"" + folder.path().string() + "\", \"" + testPluginFolder() + "\"]")
        .set("strategy.algorithm", algorithm)
        .backend("a", a.address())
        .backend("b", b.address())
        .backend("c", c.address());
  }

  /// Writes new content over the old, in the same inode.
  void overwrite(const std::string& name) const { write(contentOf(version(name))); }
  void write(const std::string& content) const {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
    fs::permissions(file, fs::perms{0644});
  }
  /// Renames another file over it.
  void rename(const std::string& name) const {
    const fs::path beside = file.string() + ".new";
    fs::copy_file(version(name), beside);
    fs::rename(beside, file);
  }

  int generation() { return strategy(*balancer)->getValue<int>("generation"); }
  std::string versionNow() { return strategy(*balancer)->getValue<std::string>("version"); }
  bool becomes(const std::string& wanted) {
    return eventually([&] { return versionNow() == wanted; });
  }

  Server a{named("a")}, b{named("b")}, c{named("c")};
  const TemporaryFolder folder;
  const std::string algorithm;
  const fs::path file;
  std::optional<Balancer> balancer;
};

struct SwappingAlways : Swapping {
  SwappingAlways() : Swapping("always_first", "com.example.always") { REQUIRE(balancer->ask() == "a"); }
};

struct SwappingTurn : Swapping {
  SwappingTurn() : Swapping("turn_1", "com.example.turn") {
    REQUIRE(balancer->ask() == "a");
    REQUIRE(balancer->ask() == "b");
  }
};

}  // namespace

TEST_CASE_METHOD(SwappingAlways, "New code under the same file name takes over whichever way it came", "[swap]") {
  const bool by_rename = GENERATE(true, false);
  CAPTURE(by_rename);
  int before = generation();
  for (int i = 0; i < 3; ++i) {
    const bool to_last = i % 2 == 0;
    const std::string name = to_last ? "always_last" : "always_first";
    by_rename ? rename(name) : overwrite(name);
    REQUIRE(becomes(to_last ? "2.0.0" : "1.0.0"));
    CHECK(balancer->ask() == (to_last ? "c" : "a"));
    CHECK(generation() > before);
    before = generation();
  }
  CHECK(reloadCount(*balancer, "applied") == 3);
}

TEST_CASE_METHOD(SwappingAlways, "New code in the same inode takes over", "[swap]") {
  struct stat before {
  }, after{};
  REQUIRE(::stat(file.c_str(), &before) == 0);
  overwrite("always_last");
  REQUIRE(::stat(file.c_str(), &after) == 0);
  REQUIRE(before.st_ino == after.st_ino);
  REQUIRE(becomes("2.0.0"));
  CHECK(balancer->ask() == "c");
}

TEST_CASE_METHOD(SwappingAlways, "New code under the same SONAME takes over", "[swap]") {
  const std::string soname("\0swapped.so\0", 12);
  REQUIRE(contains(contentOf(version("always_first")), soname));
  REQUIRE(contains(contentOf(version("always_last")), soname));
  rename("always_last");
  REQUIRE(becomes("2.0.0"));
  CHECK(balancer->ask() == "c");
}

TEST_CASE_METHOD(SwappingAlways, "A plugin file touched or written with the same content is no new plugin", "[swap]") {
  const int before = generation();
  overwrite("always_first");
  balancer->process().waitForLog("nothing to reload, the content is the same");
  CHECK(generation() == before);
  CHECK(test::generation(*balancer) == 1);
}

TEST_CASE_METHOD(SwappingAlways, "Nothing done to the file of a running plugin harms it", "[swap]") {
  const auto harm = GENERATE(as<std::string>(), "truncated", "emptied", "overwritten", "deleted");
  CAPTURE(harm);
  const int before = generation();
  if (harm == "truncated") fs::resize_file(file, 4096);
  if (harm == "emptied") fs::resize_file(file, 0);
  if (harm == "overwritten") write(std::string(fs::file_size(file), '\xcc'));
  if (harm == "deleted") fs::remove(file);
  waitForReloads(*balancer, 1, "failed");
  if (harm != "deleted") (void)balancer->process().waitForLog("skipped " + file.string());
  for (int i = 0; i < 10; ++i) CHECK(balancer->ask() == "a");
  CHECK(generation() == before);

  overwrite("always_last");
  REQUIRE(becomes("2.0.0"));
  CHECK(balancer->ask() == "c");
}

TEST_CASE_METHOD(SwappingAlways, "A reload that a broken plugin stops says which one it is and why", "[swap]") {
  write("no plugin at all");
  const auto answer = requestReload(*balancer);
  CHECK(answer.status == 422);
  CHECK(contains(answer.body, "com.example.always"));
  CHECK(contains(answer.body, "skipped " + file.string()));
  CHECK(balancer->ask() == "a");
}

TEST_CASE_METHOD(SwappingAlways, "A plugin whose versions would share their statics is refused with the mend",
                 "[swap]") {
  rename("shared_statics");
  const auto line = balancer->process().waitForLog("skipped " + file.string());
  CHECK(contains(line, "GNU-unique"));
  CHECK(contains(line, "-fno-gnu-unique"));
  waitForReloads(*balancer, 1, "failed");
  CHECK(balancer->ask() == "a");
  CHECK(versionNow() == "1.0.0");
}

TEST_CASE_METHOD(SwappingTurn, "A strategy hands its state over to its next version", "[swap]") {
  rename("turn_2");
  REQUIRE(becomes("2.0.0"));
  CHECK(balancer->ask() == "c");
  CHECK(balancer->ask() == "a");
}

TEST_CASE_METHOD(SwappingTurn, "A version that does not know the format starts afresh", "[swap]") {
  rename("turn_other");
  REQUIRE(becomes("3.0.0"));
  CHECK(balancer->ask() == "a");
}

TEST_CASE_METHOD(SwappingTurn, "A version that refuses the state is refused and the old one goes on", "[swap]") {
  rename("turn_refusing");
  waitForReloads(*balancer, 1, "failed");
  CHECK(balancer->process().countLog("this state does not add up: 2", 1) >= 1);
  CHECK(versionNow() == "1.0.0");
  CHECK(balancer->ask() == "c");
}

TEST_CASE_METHOD(SwappingTurn, "A configuration and a plugin that change together are one reload", "[swap]") {
  rename("turn_2");
  test::write(*balancer, config().set("proxy.retries", 9));
  REQUIRE(becomes("2.0.0"));
  CHECK(eventually([&] { return balancer->process().countLog("proxy.retries 2 -> 9") == 1; }));
  CHECK(reloadCount(*balancer, "applied") == 1);
}

}  // namespace lemonade::test
