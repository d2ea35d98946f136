// SPDX-License-Identifier: MIT
//
// What waits for a client of a stream, without a client.
#include "admin/stream.h"

#include <catch2/catch.hpp>

#include <memory>
#include <string>

using namespace lemonade::admin;

namespace {

Stream::Piece piece(const std::string& text) { return std::make_shared<const std::string>(text); }

/// "" where there is nothing now, "end" where nothing will come.
std::string take(Stream& stream) {
  Stream::Piece taken;
  const auto state = stream.take(taken);
  return state == Stream::State::kPiece ? *taken : state == Stream::State::kEnd ? "end" : "";
}

}  // namespace

TEST_CASE("What is pushed to a stream is taken in that order and then its end", "[admin][stream]") {
  Stream stream;
  int woken = 0;
  stream.onPiece([&] { ++woken; });
  CHECK(stream.push(piece("a")));
  CHECK(stream.push(piece("b")));
  stream.end();
  CHECK_FALSE(stream.push(piece("c")));
  CHECK(woken == 3);
  CHECK(take(stream) == "a");
  CHECK(take(stream) == "b");
  CHECK(take(stream) == "end");
}

TEST_CASE("What is of no use later is left out for a client that lags behind", "[admin][stream]") {
  Stream stream;
  CHECK(stream.pushFresh(piece("a")));
  CHECK(stream.pushFresh(piece("b")));
  CHECK(take(stream) == "a");
  CHECK(take(stream).empty());
  CHECK(stream.pushFresh(piece("c")));
  CHECK(take(stream) == "c");
}

TEST_CASE("A client that takes nothing is cut off once too much waits for it", "[admin][stream]") {
  Stream stream;
  for (std::size_t i = 0; i <= Stream::kMost; ++i) CHECK(stream.push(piece("a")));
  CHECK_FALSE(stream.push(piece("a")));
  CHECK(take(stream) == "end");
}

TEST_CASE("A client that has gone is told nothing more", "[admin][stream]") {
  Stream stream;
  int woken = 0;
  stream.onPiece([&] { ++woken; });
  stream.leave();
  CHECK_FALSE(stream.push(piece("a")));
  CHECK_FALSE(stream.pushFresh(piece("a")));
  stream.end();
  CHECK(woken == 0);
}
