// SPDX-License-Identifier: MIT
//
// A file of a plugin is read again when it may have changed, and only then; inotify tells whether it was opened.
#include "plugin/known_files.h"

#include "base/fd.h"

#include <sys/inotify.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <array>
#include <filesystem>
#include <string>

using namespace lemonade;
using namespace lemonade::plugin;
namespace fs = std::filesystem;

namespace {

/// One that the build has made some time ago.
const std::string kOld = LEMONADE_TEST_PLUGINS "/round_robin.so";

/// Says whether a file was opened since the last question.
class Openings {
 public:
  explicit Openings(const std::string& path) : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    REQUIRE(::inotify_add_watch(fd_.get(), path.c_str(), IN_OPEN) >= 0);
  }
  bool any() const {
    std::array<char, 4096> events;
    return ::read(fd_.get(), events.data(), events.size()) > 0;
  }

 private:
  const Fd fd_;
};

/// A copy that has just been written.
struct Fresh {
  Fresh() {
    std::string name = (fs::temp_directory_path() / "lemonade-known-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder = name;
    path = folder / "fresh.so";
    fs::copy_file(kOld, path);
    fs::permissions(path, fs::perms{0644});
  }
  ~Fresh() { fs::remove_all(folder); }

  fs::path folder, path;
};

}  // namespace

TEST_CASE("A file that has not changed is not read again", "[plugin]") {
  const Openings openings(kOld);
  KnownFiles known;
  const auto first = known.describe(kOld);
  REQUIRE(first);
  CHECK(openings.any());
  known.forgetOthers();
  const auto second = known.describe(kOld);
  REQUIRE(second);
  CHECK_FALSE(openings.any());
  CHECK(second.value().id == "round_robin");
  CHECK(second.value().hash == first.value().hash);
  CHECK(second.value().content.empty());
}

TEST_CASE_METHOD(Fresh, "A file that has just been written is read again, as it may be written once more", "[plugin]") {
  const Openings openings(path);
  KnownFiles known;
  for (int i = 0; i < 2; ++i) {
    REQUIRE(known.describe(path));
    CHECK(openings.any());
    known.forgetOthers();
  }
}

TEST_CASE_METHOD(Fresh, "Another file under a known name is read", "[plugin]") {
  KnownFiles known;
  const fs::path name = folder / "plugin.so";
  fs::create_symlink(kOld, name);
  REQUIRE(known.describe(name));
  known.forgetOthers();
  fs::remove(name);
  fs::create_symlink(LEMONADE_TEST_PLUGINS "/random_two.so", name);
  const auto other = known.describe(name);
  REQUIRE(other);
  CHECK(other.value().id == "random_two");
}

TEST_CASE_METHOD(Fresh, "What is no plugin is looked at each time and forgotten once it is gone", "[plugin]") {
  KnownFiles known;
  const Openings openings(kOld);
  REQUIRE(known.describe(kOld));
  CHECK(openings.any());
  known.forgetOthers();
  known.forgetOthers();  // a scan that did not ask for it
  CHECK(known.describe(kOld));
  CHECK(openings.any());
  CHECK_FALSE(known.describe(folder / "none.so"));
  fs::permissions(path, fs::perms{0666});
  CHECK_FALSE(known.describe(path));
  fs::permissions(path, fs::perms{0644});
  CHECK(known.describe(path));
}
