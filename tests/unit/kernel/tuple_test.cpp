// SPDX-License-Identifier: MIT
#include "kernel/tuple.h"

#include <catch2/catch.hpp>
#include <string>
#include <unordered_set>

using lemonade::Address;
using lemonade::kernel::Tuple;
using lemonade::kernel::TupleHash;

namespace {

Tuple between(const std::string& source, const std::string& destination) {
  return Tuple::between(Address::parse(source).value(), Address::parse(destination).value());
}

}  // namespace

TEST_CASE("A tuple gives back the addresses that it was made between", "[kernel]") {
  for (const auto& [source, destination] :
       {std::pair{"10.0.0.1:1", "192.0.2.255:65535"}, std::pair{"[2001:db8::1]:8080", "[::ffff:10.0.0.1]:80"}}) {
    const auto tuple = between(source, destination);
    CHECK(tuple.source().text() == source);
    CHECK(tuple.destination().text() == destination);
  }
}

TEST_CASE("A tuple between addresses that no connection has in common is of no family", "[kernel]") {
  for (const auto& tuple : {between("10.0.0.1:1", "[::1]:1"), between("unix:/a", "unix:/b"),
                            between("unix:/a", "[::1]:1"), Tuple::between({}, {}), Tuple()}) {
    CHECK(tuple.family == AF_UNSPEC);
    CHECK(tuple.source().family() == AF_UNSPEC);
    CHECK(tuple.destination().family() == AF_UNSPEC);
    CHECK(tuple == Tuple());
  }
}

TEST_CASE("Tuple::reversed swaps the two ends", "[kernel]") {
  const auto tuple = between("10.0.0.1:1", "10.0.0.2:2");
  CHECK(tuple.reversed() == between("10.0.0.2:2", "10.0.0.1:1"));
  CHECK(tuple.reversed() != tuple);
  CHECK(tuple.reversed().reversed() == tuple);
}

TEST_CASE("Tuples that differ in one part are not equal, and have other hashes", "[kernel]") {
  const auto tuple = between("10.0.0.1:1", "10.0.0.2:2");
  const TupleHash hash;
  CHECK(hash(tuple) == hash(between("10.0.0.1:1", "10.0.0.2:2")));
  for (const auto& other :
       {between("10.0.0.3:1", "10.0.0.2:2"), between("10.0.0.1:3", "10.0.0.2:2"), between("10.0.0.1:1", "10.0.0.3:2"),
        between("10.0.0.1:1", "10.0.0.2:3"), between("[a00:1::]:1", "[a00:2::]:2")}) {
    CHECK(other != tuple);
    CHECK(hash(other) != hash(tuple));
  }
}

TEST_CASE("TupleHash spreads neighbouring ports over the buckets of a table", "[kernel]") {
  std::unordered_set<std::size_t> buckets;
  for (int port = 1; port <= 4096; ++port)
    buckets.insert(TupleHash()(between("10.0.0.1:" + std::to_string(port), "10.0.0.2:80")) % 4096);
  // Drawn at random they would hit 2589 of them, give or take 25.
  CHECK(buckets.size() > 2400);
  CHECK(buckets.size() < 2800);
}
