// SPDX-License-Identifier: MIT
#include "proxy/sharing.h"

#include "support/manual_clock.h"

#include <catch2/catch.hpp>

namespace lemonade::proxy {
namespace {

using namespace std::chrono_literals;

/// Workers with so many sessions each, all of which take newcomers.
struct Workers {
  explicit Workers(std::initializer_list<std::uint64_t> sessions) {
    mailboxes.grow(static_cast<std::uint32_t>(sessions.size()));
    std::uint32_t i = 0;
    for (const auto count : sessions) {
      mailboxes[i].inbox.open();
      mailboxes[i++].counters.sessions.add(count);
    }
  }
  /// Which of them takes a client of the first.
  int chosen() {
    Mailbox* const mailbox = &sharing.choose(mailboxes[0]);
    for (std::uint32_t i = 0; i < mailboxes.size(); ++i)
      if (&mailboxes[i] == mailbox) return static_cast<int>(i);
    return -1;
  }

  PerWorker<Mailbox> mailboxes;
  test::ManualClock clock;
  Sharing sharing{mailboxes, clock};
};

}  // namespace

TEST_CASE("Sharing leaves a client to the worker that accepted it unless that has clearly more than its share",
          "[proxy]") {
  CHECK(Workers{1, 0, 0, 0}.chosen() == 0);
  CHECK(Workers{4, 3, 2, 3}.chosen() == 0);
  CHECK(Workers{6, 2, 1, 2}.chosen() == 2);
  CHECK(Workers{108, 100, 100, 96}.chosen() == 0);
  CHECK(Workers{140, 100, 100, 96}.chosen() == 3);
  CHECK(Workers{50}.chosen() == 0);
}

TEST_CASE("Sharing counts clients that are on their way to a worker", "[proxy]") {
  Workers workers{12, 1, 2};
  for (int i = 0; i < 2; ++i) {
    auto one = std::make_unique<Newcomer>();
    (void)workers.mailboxes[1].inbox.put(one, workers.clock.nowNs());
  }
  CHECK(workers.chosen() == 2);
}

TEST_CASE("Sharing gives nobody to a worker that takes none or does not come to those it was given", "[proxy]") {
  Workers workers{12, 0, 1, 2};
  (void)workers.mailboxes[1].inbox.close();
  CHECK(workers.chosen() == 2);
  auto one = std::make_unique<Newcomer>();
  (void)workers.mailboxes[2].inbox.put(one, workers.clock.nowNs());
  workers.clock.advance(100ms);
  CHECK(workers.chosen() == 2);
  workers.clock.advance(1ms);
  CHECK(workers.chosen() == 3);
}

}  // namespace lemonade::proxy
