// SPDX-License-Identifier: MIT
#include "watch/watcher.h"

#include "base/fd.h"
#include "support/deadline.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

using namespace lemonade;
using namespace lemonade;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// A watched folder with a file and a plugin directory, and a reload that the test holds and lets go.
class Watched {
 public:
  Watched() {
    std::string name = (fs::temp_directory_path() / "lemonade-watcher-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder = name;
    fs::create_directory(folder / "plugins");
    file = folder / "lemonade.toml";
    write(file, "first");
  }
  ~Watched() {
    letGo();
    watcher.reset();
    fs::remove_all(folder);
  }

  void watch(Duration interval, bool with_file = true) {
    const auto watched = with_file ? std::optional(file.string()) : std::nullopt;
    const std::vector<std::string> directories{(folder / "plugins").string()};
    watcher.emplace(watched, Fingerprint{lookAtFile(watched, config::Streams::kRefuse), lookAtPlugins(directories)},
                    [this](const std::string& reason, const FileContent& seen) { return reload(reason, seen); });
    watcher->configure(interval, directories);
  }

  static void write(const fs::path& to, const std::string& content) {
    const fs::path beside = to.string() + ".new";
    std::ofstream(beside) << content;
    fs::rename(beside, to);
  }

  std::size_t reloads() {
    const std::lock_guard lock(mutex_);
    return reasons_.size();
  }
  bool reloadsReach(std::size_t count) {
    return test::eventually([&] { return reloads() >= count; });
  }
  std::string reason(std::size_t index) {
    const std::lock_guard lock(mutex_);
    return reasons_.at(index);
  }

  Reloaded reload(const std::string& reason, const FileContent& seen) {
    {
      const std::lock_guard lock(mutex_);
      applied_ = seen;
      reasons_.push_back(reason);
    }
    test::eventually([&] { return !held_; });
    return {true, {std::to_string(reloads())}};
  }
  FileContent applied() {
    const std::lock_guard lock(mutex_);
    return applied_;
  }
  void hold() { held_ = true; }
  void letGo() { held_ = false; }

  fs::path folder;
  fs::path file;
  std::optional<Watcher> watcher;

 private:
  std::mutex mutex_;  // guards the next two
  FileContent applied_;
  std::vector<std::string> reasons_;
  std::atomic<bool> held_{false};
};

constexpr auto kNever = 1h;

}  // namespace

TEST_CASE_METHOD(Watched, "Watcher reloads when the content of the file changed", "[app]") {
  watch(10ms);
  write(file, "second");
  REQUIRE(reloadsReach(1));
  CHECK(reason(0) == "changed files");
  write(file, "third");
  CHECK(reloadsReach(2));
}

TEST_CASE_METHOD(Watched, "Watcher reloads where the file changed before it began to watch", "[app]") {
  watcher.emplace(file.string(), Fingerprint{{"what was read", "", true}, ""},
                  [this](const std::string& reason, const FileContent& seen) { return reload(reason, seen); });
  watcher->configure(10ms, {});
  CHECK(reloadsReach(1));
}

TEST_CASE_METHOD(Watched, "Watcher refuses what is requested after its stop", "[app]") {
  watch(kNever);
  watcher->stop();
  const auto answer = watcher->request("late").get();
  CHECK_FALSE(answer.applied);
  CHECK_THAT(answer.lines.at(0), Catch::Contains("stopping"));
}

TEST_CASE_METHOD(Watched, "Watcher takes the same content for unchanged", "[app]") {
  watch(10ms);
  write(file, "first");
  fs::last_write_time(file, fs::file_time_type::clock::now());
  // The request is answered after looks at the file that found nothing.
  CHECK(watcher->request("asked").get().lines.at(0) == "1");
  CHECK(reason(0) == "asked");
  CHECK(reloads() == 1);
}

TEST_CASE_METHOD(Watched, "Watcher reloads when a plugin came or changed or went", "[app]") {
  const bool with_file = GENERATE(true, false);
  watch(10ms, with_file);
  const fs::path plugin = folder / "plugins" / "p.so";
  write(plugin, "code");
  REQUIRE(reloadsReach(1));
  write(plugin, "edoc");
  REQUIRE(reloadsReach(2));
  fs::remove(plugin);
  REQUIRE(reloadsReach(3));
  CHECK(reason(2) == "changed files");
}

TEST_CASE_METHOD(Watched, "Watcher does not mind other files in a plugin directory", "[app]") {
  watch(10ms);
  write(folder / "plugins" / "README", "text");
  watcher->request("asked").get();
  CHECK(reloads() == 1);
}

TEST_CASE_METHOD(Watched, "Watcher waits until nobody writes any more", "[app]") {
  const bool plugin = GENERATE(true, false);
  const fs::path which = plugin ? folder / "plugins" / "p.so" : file;
  watch(10ms);
  Fd writer(::open(which.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  REQUIRE(::write(writer.get(), "half", 4) == 4);
  const auto refused = watcher->request("asked").get();
  CHECK_FALSE(refused.applied);
  REQUIRE(refused.lines.size() == 1);
  CHECK_THAT(refused.lines[0], Catch::Contains("being written"));
  CHECK(reloads() == 0);
  writer.reset();
  REQUIRE(reloadsReach(1));
  CHECK(reason(0) == "changed files");
}

TEST_CASE_METHOD(Watched, "Watcher gives a writer that opens the file again time for the rest", "[app]") {
  watch(10ms);
  const test::Stopwatch stopwatch;
  std::ofstream(file) << "half";
  std::this_thread::sleep_for(250ms);
  std::ofstream(file, std::ios::app) << " and the rest";
  const bool in_time = stopwatch.elapsed() < 600ms;  // a machine under load may have slept longer
  REQUIRE(reloadsReach(1));
  CHECK((applied().text == "half and the rest" || !in_time));
}

TEST_CASE_METHOD(Watched, "Watcher applies what it looked at", "[app]") {
  watch(kNever);
  write(file, "second");
  (void)watcher->request("asked").get();
  CHECK(applied() == FileContent{"second", "", true});
}

TEST_CASE_METHOD(Watched, "Watcher does not ask for a file again that came through a pipe", "[app]") {
  watcher.emplace(file.string(), Fingerprint{{"from a pipe", "", false}, ""},
                  [this](const std::string& reason, const FileContent& seen) { return reload(reason, seen); });
  watcher->configure(10ms, {});
  (void)watcher->request("asked").get();
  CHECK(applied() == FileContent{"from a pipe", "", false});
  CHECK(reloads() == 1);
}

TEST_CASE_METHOD(Watched,
                 "Watcher says what is wrong where a FIFO or a folder took the place of the file, and reads the next",
                 "[app]") {
  watch(10ms);
  fs::remove(file);
  const bool fifo = GENERATE(true, false);
  REQUIRE((fifo ? ::mkfifo(file.c_str(), 0600) : ::mkdir(file.c_str(), 0700)) == 0);
  REQUIRE(reloadsReach(1));
  CHECK_THAT(applied().problem, Catch::Contains(fifo ? "is a pipe" : "is a directory"));
  fs::remove(file);
  write(file, "second");
  REQUIRE(test::eventually([&] { return applied().text == "second"; }));
}

TEST_CASE_METHOD(Watched, "Watcher answers requests that come together with one reload", "[app]") {
  watch(kNever);
  hold();
  const auto under_way = watcher->request("first");
  REQUIRE(reloadsReach(1));
  const auto second = watcher->request("second"), third = watcher->request("third");
  letGo();
  CHECK(under_way.get().lines.at(0) == "1");
  CHECK(second.get().lines.at(0) == "2");
  CHECK(third.get().lines.at(0) == "2");
  CHECK(reason(1) == "second");
  CHECK(reloads() == 2);
}

TEST_CASE_METHOD(Watched, "Watcher waits for nothing where all is as it was at the reload before", "[app]") {
  write(folder / "plugins" / "a.so", "code");
  watch(kNever);
  const test::Stopwatch watch;
  for (int i = 0; i < 10; ++i) CHECK(watcher->request("request").get().applied);
  CHECK(reloads() == 10);
  CHECK(watch.elapsed() < 700ms * test::timeFactor());
}

TEST_CASE_METHOD(Watched, "Watcher looks as often as it was told last", "[app]") {
  watch(kNever);
  write(file, "second");
  watcher->configure(10ms, {(folder / "plugins").string()});
  CHECK(reloadsReach(1));
}

TEST_CASE_METHOD(Watched, "Watcher stops at once while it waits and after the reload under way", "[app]") {
  watch(kNever);
  const test::Stopwatch stopwatch;
  watcher.reset();
  CHECK(stopwatch.elapsed() < 5s);

  watch(kNever);
  hold();
  const auto under_way = watcher->request("first");
  REQUIRE(reloadsReach(1));
  const auto waiting = watcher->request("second");
  std::thread stop([this] { watcher.reset(); });
  letGo();
  stop.join();
  CHECK(under_way.get().applied);
  // Either it still had its turn or it was told why not; nobody waits for ever.
  CHECK(waiting.wait_for(0s) == std::future_status::ready);
}
