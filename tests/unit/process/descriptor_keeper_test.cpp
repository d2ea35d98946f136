// SPDX-License-Identifier: MIT
#include "process/descriptor_keeper.h"

#include "support/manual_clock.h"

#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

using namespace lemonade;
using namespace std::chrono_literals;

namespace {

/// A keeper whose process may open so many descriptors beside the spare ones: something else has used the others.
struct Fixture {
  explicit Fixture(std::size_t free) {
    loop.start();
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit tight = before;
    tight.rlim_cur = 400;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    loop.run([&] { keeper.configure({}); });
    while (Fd one{::dup(STDERR_FILENO)}) used.push_back(std::move(one));
    REQUIRE(used.size() > free);
    used.resize(used.size() - free);
  }
  ~Fixture() {
    loop.run([&] { keeper.stop(); });
    loop.stop();
    (void)::setrlimit(RLIMIT_NOFILE, &before);
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  void expect(std::uint64_t count) {
    loop.run([&] { keeper.expect(count); });
  }
  void pass(Duration time) { manual.pass(time); }

  rlimit before{};
  std::vector<Fd> used;
  test::ManualLoop manual;
  ControlLoop& loop = manual.loop;
  std::uint32_t most = 0;  ///< sessions, as the keeper holds them
  DescriptorKeeper keeper{
      loop, openDescriptors(), {[] { return 7u; }, [this](std::uint32_t to) { most = to; }, [this] { most = 7; }}};
};

}  // namespace

TEST_CASE("DescriptorKeeper gives the spare descriptors up for who expects more than there are, and until that is over",
          "[app]") {
  Fixture f(6);
  CHECK_FALSE(canOpen(10));
  f.expect(10);
  CHECK(canOpen(10));
  CHECK(f.most == 7);
  // Beside the spare ones there would be enough for most, and not for who is about to open ten.
  f.pass(1s);
  CHECK(canOpen(10));
  f.expect(0);
  f.pass(1s);
  CHECK_FALSE(canOpen(10));
  CHECK(canOpen(6));
}

TEST_CASE("DescriptorKeeper leaves some to everything else while those are opened that somebody expects", "[app]") {
  Fixture f(11);
  f.expect(10);
  CHECK(canOpen(20));
}

TEST_CASE("DescriptorKeeper keeps the spare descriptors where who expects some finds them beside", "[app]") {
  Fixture f(14);
  const auto most = f.most;
  f.expect(10);
  CHECK(f.most == most);
  CHECK(canOpen(14));
  CHECK_FALSE(canOpen(15));
}
