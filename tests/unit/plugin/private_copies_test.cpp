// SPDX-License-Identifier: MIT
#include "plugin/private_copies.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

using namespace lemonade;
using namespace lemonade::plugin;
namespace fs = std::filesystem;

namespace {

/// A folder of its own, which is the only place for copies: the usual ones cannot be used.
struct Place {
  Place() {
    std::string name = (fs::temp_directory_path() / "lemonade-copies-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    for (const char* variable : {"RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"}) ::unsetenv(variable);
    ::setenv("TMPDIR", "/proc", 1);
  }
  ~Place() {
    ::unsetenv("TMPDIR");
    std::error_code ignored;
    fs::permissions(path, fs::perms::owner_all, ignored);
    fs::remove_all(path, ignored);
  }
  std::vector<fs::path> folders() const { return {fs::directory_iterator(path), fs::directory_iterator()}; }
  fs::path path;
};

PluginFile file() {
  PluginFile file;
  file.id = "p";
  file.hash = std::string(40, 'a');
  file.content.assign(100'000, std::byte{7});
  return file;
}

bool holds(const PrivateCopy& copy) { return fs::file_size(copy.path) == file().content.size(); }

/// Has one copy made, and says whether it is in memory.
bool inMemory(PrivateCopies& copies, std::uint64_t generation) {
  const auto copy = copies.make(file(), generation);
  REQUIRE(copy.ok());
  CHECK(holds(copy.value()));
  return static_cast<bool>(copy.value().memory);
}

std::string remarkOf(PrivateCopies& copies) {
  const auto remarks = copies.takeRemarks();
  REQUIRE(remarks.size() == 1);
  return remarks[0];
}

/// Runs body on a thread with mounts of its own; what it throws is thrown again. False, with a word, where that may not
/// be.
bool withOwnMounts(const std::function<void()>& body) {
  bool allowed = false;
  std::exception_ptr thrown;
  std::thread([&] {
    allowed = ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    if (!allowed) return;
    try {
      body();
    } catch (...) {
      thrown = std::current_exception();
    }
  }).join();
  if (thrown) std::rethrow_exception(thrown);
  if (!allowed) WARN("skipped: only root can have mounts of its own");
  return allowed;
}

void mountOn(const fs::path& path, unsigned long flags, const char* options) {
  REQUIRE(::mount("tmpfs", path.c_str(), "tmpfs", flags, options) == 0);
}

}  // namespace

TEST_CASE("PrivateCopies makes copies in a directory of its own and removes it at the end", "[plugin]") {
  const Place place;
  {
    PrivateCopies copies(place.path.string());
    CHECK_FALSE(inMemory(copies, 1));
    CHECK_FALSE(inMemory(copies, 2));
    REQUIRE(place.folders().size() == 1);
    CHECK(fs::status(place.folders()[0]).permissions() == fs::perms::owner_all);
    CHECK(copies.takeRemarks().empty());
  }
  CHECK(place.folders().empty());
}

TEST_CASE("PrivateCopies without a preference keeps copies in memory", "[plugin]") {
  PrivateCopies copies;
  CHECK(inMemory(copies, 1));
  CHECK(copies.takeRemarks().empty());
}

TEST_CASE("PrivateCopies makes its directory anew where it was removed and says so", "[plugin]") {
  const Place place;
  PrivateCopies copies(place.path.string());
  CHECK_FALSE(inMemory(copies, 1));
  SECTION("the directory") { fs::remove_all(place.folders()[0]); }
  SECTION("with the one above") { fs::remove_all(place.path); }
  SECTION("and something else has its name") {
    const auto name = place.folders()[0];
    fs::rename(name, place.path / "elsewhere");
    fs::create_directory_symlink("/etc", name);
  }
  SECTION("and a file has its name") {
    const auto name = place.folders()[0];
    fs::remove_all(name);
    std::ofstream(name) << "x";
  }
  CHECK_FALSE(inMemory(copies, 2));
  CHECK_THAT(remarkOf(copies), Catch::Contains("they are made in " + place.path.string()));
}

TEST_CASE("PrivateCopies keeps copies in memory where nothing may be written and says so once", "[plugin]") {
  const Place place;
  PrivateCopies copies((place.path / "file" / "below").string());
  std::ofstream(place.path / "file") << "x";
  CHECK(inMemory(copies, 1));
  CHECK(inMemory(copies, 2));
  CHECK_THAT(remarkOf(copies), Catch::Contains("they are kept in memory") && Catch::Contains("file/below"));
}

TEST_CASE("PrivateCopies leaves a file system that is full or read only or without execution", "[plugin]") {
  const Place place;
  const bool ran = withOwnMounts([&] {
    SECTION("full from the start") {
      mountOn(place.path, 0, "size=16k");
      PrivateCopies copies(place.path.string());
      CHECK(inMemory(copies, 1));
      CHECK_THAT(remarkOf(copies), Catch::Contains("No space left"));
      CHECK(place.folders().empty());
    }
    SECTION("full later") {
      mountOn(place.path, 0, "size=160k");
      PrivateCopies copies(place.path.string());
      CHECK_FALSE(inMemory(copies, 1));
      CHECK(inMemory(copies, 2));
      CHECK_THAT(remarkOf(copies), Catch::Contains("No space left"));
      REQUIRE(place.folders().size() == 1);
      CHECK(std::distance(fs::directory_iterator(place.folders()[0]), fs::directory_iterator()) == 1);
    }
    SECTION("without room for a directory") {
      mountOn(place.path, 0, "nr_inodes=1");
      PrivateCopies copies(place.path.string());
      CHECK(inMemory(copies, 1));
    }
    SECTION("read only later") {
      mountOn(place.path, 0, "");
      PrivateCopies copies(place.path.string());
      CHECK_FALSE(inMemory(copies, 1));
      REQUIRE(::mount(nullptr, place.path.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
      CHECK(inMemory(copies, 2));
      CHECK_THAT(remarkOf(copies), Catch::Contains("Read-only"));
    }
    SECTION("without execution from the start") {
      mountOn(place.path, MS_NOEXEC, "");
      PrivateCopies copies(place.path.string());
      CHECK(inMemory(copies, 1));
      CHECK_THAT(remarkOf(copies), Catch::Contains("does not allow execution"));
    }
    SECTION("without execution later") {
      mountOn(place.path, 0, "");
      PrivateCopies copies(place.path.string());
      CHECK_FALSE(inMemory(copies, 1));
      REQUIRE(::mount(nullptr, place.path.c_str(), nullptr, MS_REMOUNT | MS_NOEXEC, nullptr) == 0);
      CHECK(inMemory(copies, 2));
    }
    SECTION("and neither is there a /proc for memory") {
      mountOn(place.path, 0, "size=16k");
      mountOn("/proc", 0, "size=16k");
      PrivateCopies copies(place.path.string());
      const auto copy = copies.make(file(), 1);
      REQUIRE_FALSE(copy.ok());
      CHECK_THAT(copy.error().message, Catch::Contains("/proc") && Catch::Contains("plugins.cache_directory"));
    }
    (void)::umount2(place.path.c_str(), MNT_DETACH);
  });
  if (!ran) return;
}

TEST_CASE("PrivateDirectory sweeps what a killed process left and nothing that is in use", "[plugin]") {
  const Place place;
  int ready[2];
  REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto left = PrivateDirectory::make(place.path.string());
    (void)!::write(ready[1], left.ok() ? "y" : "n", 1);
    for (;;) ::pause();
  }
  char made = 0;
  REQUIRE(::read(ready[0], &made, 1) == 1);
  REQUIRE(made == 'y');
  const auto mine = PrivateDirectory::make(place.path.string());
  REQUIRE(mine.ok());
  fs::create_directory(place.path / "lemonade-plugins-abcdef");  // as versions before the lock made them
  fs::create_directory_symlink("/", place.path / "lemonade-plugins-held-link");
  std::ofstream(place.path / "lemonade-plugins-held-file") << "x";
  const auto before = place.folders().size();
  CHECK(before == 5);
  CHECK(PrivateDirectory::sweep({place.path.string()}) == 0);
  CHECK(place.folders().size() == before);

  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(PrivateDirectory::sweep({place.path.string(), "/nowhere"}) == 1);
  CHECK(place.folders().size() == before - 1);
  CHECK(fs::exists(mine.value()->path()));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("PrivateDirectory removes all of its directories when the process is ended by force", "[plugin]") {
  const Place place;
  const auto first = PrivateDirectory::make(place.path.string()), second = PrivateDirectory::make(place.path.string());
  REQUIRE((first.ok() && second.ok()));
  std::ofstream(first.value()->path() + "/copy") << "x";
  PrivateDirectory::removeAll();
  CHECK(place.folders().empty());
}
