// SPDX-License-Identifier: MIT
#include "supervisor/quarantined.h"

#include <catch2/catch.hpp>

namespace lemonade::supervisor {

TEST_CASE("Plugins in quarantine are read as they were written, and what separates them is left out of texts") {
  const Fd file = writeQuarantined({{"com.example.a", "1.0.0", "aaaa", "/plugins/a.so", "pick\tfaulted\nbadly"},
                                    {"com.example.b", "", "bbbb", "", ""}});
  REQUIRE(file);
  const auto read = readQuarantined(file.get());
  REQUIRE(read.size() == 2);
  CHECK(read[0].id == "com.example.a");
  CHECK(read[0].version == "1.0.0");
  CHECK(read[0].hash == "aaaa");
  CHECK(read[0].file == "/plugins/a.so");
  CHECK(read[0].why == "pick faulted badly");
  CHECK(read[1].id == "com.example.b");
  CHECK(read[1].why.empty());
}

TEST_CASE("A line that names no plugin or no content is none, and neither is a file that is not there") {
  CHECK(readQuarantined(writeQuarantined({{"", "1", "aaaa", "x", "x"}, {"b", "1", "", "x", "x"}}).get()).empty());
  CHECK(readQuarantined(-1).empty());
  CHECK(readQuarantined(writeQuarantined({}).get()).empty());
}

}  // namespace lemonade::supervisor
