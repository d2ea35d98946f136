// SPDX-License-Identifier: MIT
#include "proxy/session.h"

#include <catch2/catch.hpp>

#include <string>

using namespace lemonade::proxy;

namespace {

std::string orderOf(const SessionList& list, const Session (&sessions)[3]) {
  std::string order;
  for (const Session* session = list.front(); session != nullptr; session = session->next)
    order += static_cast<char>('a' + (session - sessions));
  return order;
}

}  // namespace

TEST_CASE("SessionList keeps sessions in the order of their time", "[proxy]") {
  Session sessions[3];
  SessionList list;
  for (std::uint64_t i = 0; i < 3; ++i) list.pushBack(sessions[i], i);
  CHECK(orderOf(list, sessions) == "abc");
  list.moveToBack(sessions[0], 5);
  CHECK(orderOf(list, sessions) == "bca");
  CHECK(sessions[0].listed_at == 5);
  list.moveToBack(sessions[0], 6);
  CHECK(orderOf(list, sessions) == "bca");
  list.remove(sessions[2]);
  CHECK(orderOf(list, sessions) == "ba");
  list.remove(sessions[1]);
  list.remove(sessions[0]);
  CHECK(list.empty());
  list.pushBack(sessions[2], 7);
  CHECK(orderOf(list, sessions) == "c");
}

TEST_CASE("SessionList takes a session in behind all that came before it", "[proxy]") {
  Session sessions[3];
  SessionList list;
  list.insert(sessions[0], 3);
  list.insert(sessions[1], 1);
  CHECK(orderOf(list, sessions) == "ba");
  list.insert(sessions[2], 1);
  CHECK(orderOf(list, sessions) == "bca");
  list.remove(sessions[0]);
  list.insert(sessions[0], 1);
  CHECK(orderOf(list, sessions) == "bca");
  list.remove(sessions[0]);
  list.remove(sessions[2]);
  list.pushBack(sessions[2], 2);
  CHECK(orderOf(list, sessions) == "bc");
}
