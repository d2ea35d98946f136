// SPDX-License-Identifier: MIT
//
// The channel against a pipe whose reader is as slow as the test wants.
#include "base/log_channel.h"
#include "base/fd.h"

#include <Poco/AutoPtr.h>

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace lemonade;
using namespace lemonade::log;

namespace {

/// All that comes until the last write end is closed.
std::string contentOf(int fd) {
  std::string all;
  std::array<char, 65'536> buffer;
  for (ssize_t size; (size = ::read(fd, buffer.data(), buffer.size())) > 0;) {
    all.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return all;
}

struct Pipe {
  Pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    read = Fd(ends[0]);
    write = Fd(ends[1]);
  }

  std::string drain() {
    write.reset();
    return contentOf(read.get());
  }

  Fd read;
  Fd write;
};

std::string notice(std::uint64_t dropped) { return "dropped " + std::to_string(dropped) + "\n"; }

Poco::AutoPtr<BoundedChannel> channelTo(const Pipe& pipe, BoundedChannel::Limits limits = {}) {
  return {new BoundedChannel(pipe.write.get(), notice, limits)};
}

void say(BoundedChannel& channel, const std::string& line) {
  channel.log(Poco::Message("test", line + "\n", Poco::Message::PRIO_INFORMATION));
}

}  // namespace

TEST_CASE("BoundedChannel writes at once before it is opened and after it is closed", "[log]") {
  Pipe pipe;
  auto channel = channelTo(pipe);
  say(*channel, "before");
  channel->open();
  say(*channel, "during");
  channel->close();
  say(*channel, "after");
  CHECK(pipe.drain() == "before\nduring\nafter\n");
}

TEST_CASE("BoundedChannel never blocks and says how many lines it dropped", "[log]") {
  Pipe pipe;
  auto channel = channelTo(pipe, {.lines = 100, .bytes = 1 << 20});
  channel->open();
  // 2 MiB into a pipe of 64 KiB that nobody reads: this returns only because nothing waits.
  const std::string line(1'023, 'x');
  for (int i = 0; i < 2'000; ++i) say(*channel, line);
  const auto dropped = channel->dropped();
  CHECK(dropped > 1'000);

  std::string all;
  std::thread reader([&] { all = contentOf(pipe.read.get()); });
  channel->close();
  pipe.write.reset();
  reader.join();

  std::istringstream lines(all);
  std::uint64_t written = 0;
  std::uint64_t announced = 0;
  for (std::string text; std::getline(lines, text);) {
    if (text == line) {
      ++written;
    } else {
      REQUIRE(text.starts_with("dropped "));
      announced += std::stoull(text.substr(8));
    }
  }
  CHECK(channel->dropped() == dropped);
  CHECK(announced == dropped);
  CHECK(written == 2'000 - dropped);
}

TEST_CASE("BoundedChannel holds a bound in bytes as well", "[log]") {
  Pipe pipe;
  auto channel = channelTo(pipe, {.lines = 1'000, .bytes = 4'000});
  channel->open();
  say(*channel, std::string(5'000, 'x'));
  CHECK(channel->dropped() == 1);
  say(*channel, "small");
  channel->close();
  CHECK(channel->dropped() == 1);
  CHECK_THAT(pipe.drain(), Catch::Contains("small\n") && Catch::Contains(notice(1)));
}

TEST_CASE("BoundedChannel::close gives up on a reader that does not read and counts what it loses", "[log]") {
  Pipe pipe;
  auto channel = channelTo(pipe, {.close_patience = std::chrono::milliseconds(1)});
  channel->open();
  for (int i = 0; i < 1'000; ++i) say(*channel, std::string(1'023, 'x'));
  channel->close();
  CHECK(channel->dropped() > 900);
  CHECK(pipe.drain().size() == (1'000 - channel->dropped()) * 1'024);
}

TEST_CASE("BoundedChannel survives a reader that went away", "[log]") {
  Pipe pipe;
  auto channel = channelTo(pipe);
  channel->open();
  pipe.read.reset();
  say(*channel, "nobody hears this");
  channel->close();
  CHECK(channel->dropped() == 0);
}

TEST_CASE("BoundedChannel keeps lines whole when many threads write", "[log]") {
  Pipe pipe;
  auto channel = channelTo(pipe, {.lines = 100'000, .bytes = 64 << 20});
  channel->open();
  std::string all;
  std::thread reader([&] { all = contentOf(pipe.read.get()); });
  std::vector<std::thread> writers;
  for (char letter = 'a'; letter < 'e'; ++letter) {
    writers.emplace_back([&, letter] {
      for (int i = 0; i < 500; ++i) say(*channel, std::string(100, letter));
    });
  }
  for (auto& writer : writers) writer.join();
  channel->close();
  pipe.write.reset();
  reader.join();
  CHECK(all.size() == 4 * 500 * 101);
  for (std::size_t at = 0; at < all.size(); at += 101) {
    if (all.substr(at, 101) != std::string(100, all[at]) + "\n") FAIL("a line was mixed with another at " << at);
  }
}
