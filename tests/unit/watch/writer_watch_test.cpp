// SPDX-License-Identifier: MIT
#include "watch/writer_watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

using namespace lemonade;
using namespace lemonade;
namespace fs = std::filesystem;

namespace {

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "lemonade-writers-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    file = path / "lemonade.toml";
    std::ofstream(file) << "whole";
    CHECK_FALSE(writing());
  }
  ~Folder() { fs::remove_all(path); }

  /// As a look asks.
  bool writing() {
    watch.hear(watch.mark(file));
    return watch.writing();
  }
  /// Opens for writing and writes a part.
  static Fd begin(const fs::path& which, int flags = O_TRUNC) {
    Fd fd(::open(which.c_str(), O_WRONLY | O_CLOEXEC | O_CREAT | flags, 0644));
    REQUIRE(::write(fd.get(), "half", 4) == 4);
    return fd;
  }

  fs::path path;
  fs::path file;
  WriterWatch watch;
};

}  // namespace

TEST_CASE_METHOD(Folder, "A file is being written until its writer closes it", "[app]") {
  const auto before = watch.lastWriteNs();
  auto writer = begin(file, GENERATE(O_TRUNC, O_APPEND));
  CHECK(writing());
  CHECK(writing());
  writer.reset();
  CHECK_FALSE(writing());
  CHECK(watch.lastWriteNs() > before);
}

TEST_CASE_METHOD(Folder, "A file that was only cut off is being written", "[app]") {
  Fd writer(::open(file.c_str(), O_WRONLY | O_CLOEXEC | O_TRUNC));
  CHECK(writing());
}

TEST_CASE_METHOD(Folder, "A file that is made anew is being written", "[app]") {
  fs::remove(file);
  auto writer = begin(file);
  CHECK(writing());
  CHECK(writing());
  writer.reset();
  CHECK_FALSE(writing());
}

TEST_CASE_METHOD(Folder, "A file is whole that was renamed into place, unless it is still being written", "[app]") {
  auto writer = begin(path / "new");
  const bool closed = GENERATE(true, false);
  if (closed) writer.reset();
  fs::rename(path / "new", file);
  CHECK(writing() == !closed);
  writer.reset();
  CHECK_FALSE(writing());
}

TEST_CASE_METHOD(Folder, "A file that a link leads to is watched where it is, and so is the next one", "[app]") {
  fs::create_directory(path / "first");
  fs::create_directory(path / "second");
  std::ofstream(path / "first" / "f") << "whole";
  fs::remove(file);
  fs::create_directory_symlink("first", path / "data");
  fs::create_symlink("data/f", file);
  CHECK_FALSE(writing());
  {
    const auto writer = begin(path / "first" / "f");
    CHECK(writing());
  }
  CHECK_FALSE(writing());
  std::ofstream(path / "second" / "f") << "whole";
  fs::create_directory_symlink("second", path / "next");
  fs::rename(path / "next", path / "data");
  CHECK_FALSE(writing());
  const auto writer = begin(path / "second" / "f");
  CHECK(writing());
}

TEST_CASE_METHOD(Folder, "Another file that is being written and a reader are no matter", "[app]") {
  const auto writer = begin(path / "other");
  std::ifstream reader(file);
  CHECK_FALSE(writing());
}

TEST_CASE_METHOD(Folder, "A file that is not there is not being written", "[app]") {
  fs::remove(file);
  CHECK_FALSE(writing());
}
