// SPDX-License-Identifier: MIT
#include "config/file.h"

#include "base/fd.h"
#include "support/deadline.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <thread>

using namespace lemonade;
using namespace lemonade::config;
using namespace std::chrono_literals;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "lemonade-file-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

std::string error(const std::string& path, Streams streams) {
  const auto content = readContent(path, streams);
  return content ? "" : content.error().message;
}

void write(int fd, const std::string& text) {
  REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

}  // namespace

TEST_CASE_METHOD(Folder, "A file is read whole and may be read again", "[config]") {
  const std::string text(300'000, 'x');
  std::ofstream(path / "file") << text;
  const auto content = readContent(path / "file", Streams::kRefuse);
  REQUIRE(content.ok());
  CHECK(content.value().text == text);
  CHECK(content.value().again);
  CHECK(readContent("/dev/null", Streams::kRefuse).value().text.empty());
}

TEST_CASE_METHOD(Folder, "A file of more than 16 MiB is refused", "[config]") {
  std::ofstream(path / "file") << "x";
  fs::resize_file(path / "file", (16 << 20) + 1);
  CHECK_THAT(error(path / "file", Streams::kRefuse), Contains("larger than 16 MiB"));
}

TEST_CASE_METHOD(Folder, "What is no file is refused at once where only files are read", "[config]") {
  const test::Stopwatch stopwatch;
  REQUIRE(::mkfifo((path / "fifo").c_str(), 0600) == 0);
  CHECK_THAT(error(path / "fifo", Streams::kRefuse), Contains("is a pipe"));
  CHECK_THAT(error(path, Streams::kRead), Contains("is a directory"));
  for (const auto streams : {Streams::kRead, Streams::kRefuse}) {
    CHECK_THAT(error("/dev/zero", streams), Contains("is a device"));
    CHECK_THAT(error(path / "none", streams), Contains("cannot be opened: No such file"));
  }
  CHECK(stopwatch.elapsed() < 1s);
}

TEST_CASE_METHOD(Folder, "A FIFO is read until its writer closes it, and only once", "[config]") {
  const std::string fifo = path / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  std::thread writer([&] {
    const Fd fd(::open(fifo.c_str(), O_WRONLY | O_CLOEXEC));  // waits for the reader
    for (int i = 0; i < 3; ++i) {
      std::this_thread::sleep_for(20ms);
      write(fd.get(), "piece ");
    }
  });
  const auto content = readContent(fifo, Streams::kRead);
  writer.join();
  REQUIRE(content.ok());
  CHECK(content.value().text == "piece piece piece ");
  CHECK_FALSE(content.value().again);
}

TEST_CASE("A pipe that this process was given is read to its end, also where the writer has left", "[config]") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const Fd read(ends[0]);
  Fd writer(ends[1]);
  write(writer.get(), "text");
  const bool left = GENERATE(true, false);
  std::thread late;
  if (left) {
    writer.reset();
  } else {
    late = std::thread([&] {
      std::this_thread::sleep_for(50ms);
      writer.reset();
    });
  }
  const auto content = readContent("/dev/fd/" + std::to_string(read.get()), Streams::kRead);
  if (late.joinable()) late.join();
  REQUIRE(content.ok());
  CHECK(content.value().text == "text");
  CHECK_FALSE(content.value().again);
}

TEST_CASE("A pipe that never ends is bounded", "[config]") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  Fd read(ends[0]);
  std::thread flood([writer = Fd(ends[1])]() mutable {
    const std::string text(65'536, 'x');
    for (int i = 0; i < 300; ++i)
      if (::write(writer.get(), text.data(), text.size()) < 0) return;
  });
  CHECK_THAT(error("/dev/fd/" + std::to_string(read.get()), Streams::kRead), Contains("larger than 16 MiB"));
  // The writer ends at the end of its text, or with its reader: SIGPIPE is not for the test.
  std::string rest(1 << 20, '\0');
  while (::read(read.get(), rest.data(), rest.size()) > 0) {
  }
  flood.join();
}
