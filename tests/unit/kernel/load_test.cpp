// SPDX-License-Identifier: MIT
#include "kernel/load.h"

#include "support/proc_folder.h"

#include <catch2/catch.hpp>

using namespace lemonade::kernel;
using namespace lemonade::test;

TEST_CASE("The load of our queue is found among those of others", "[kernel]") {
  ProcFolder proc;
  proc.write("/net/netfilter/nfnetlink_queue",
             "    0   4242     9 2    64     1     2        3  1\n"
             "19533  77001    12 2   128     3     4      567  1\n");
  const auto load = readQueueLoad(19'533, proc.path);
  REQUIRE(load);
  CHECK(load->waiting == 12);
  CHECK(load->full == 3);
  CHECK(load->unreceived == 4);
  CHECK_FALSE(readQueueLoad(1'953, proc.path));
}

TEST_CASE("The load of conntrack is what the kernel counts and allows", "[kernel]") {
  ProcFolder proc;
  proc.write("/sys/net/netfilter/nf_conntrack_count", "900\n").write("/sys/net/netfilter/nf_conntrack_max", "1000\n");
  const auto load = readConntrackLoad(proc.path);
  REQUIRE(load);
  CHECK(load->entries == 900);
  CHECK(load->most == 1'000);
}

TEST_CASE("A load that the kernel does not show is nothing", "[kernel]") {
  ProcFolder proc;
  CHECK_FALSE(readQueueLoad(1, proc.path));
  CHECK_FALSE(readConntrackLoad(proc.path));
  proc.write("/net/netfilter/nfnetlink_queue", "1 2 what is this\n");
  proc.write("/sys/net/netfilter/nf_conntrack_count", "900\n");
  CHECK_FALSE(readQueueLoad(1, proc.path));
  CHECK_FALSE(readConntrackLoad(proc.path));
}
